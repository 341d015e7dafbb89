"""What 38-electricity.yaml must come to, worked out by itself."""
from datetime import datetime
from decimal import Decimal as D
from zoneinfo import ZoneInfo

readings = [("2026-10-01T02:15:00+00:00", "6.5", 26), ("2026-10-01T05:00:00+00:00", "9", 36),
            ("2026-10-03T09:00:00+00:00", "4", 16), ("2026-10-26T05:45:00+00:00", "7.25", 29),
            ("2026-10-26T06:00:00+00:00", "8", 32), ("2026-10-30T18:45:00+00:00", "2", 8)]

energy = D(0)
for time, kwh, _ in readings:
    there = datetime.fromisoformat(time).astimezone(ZoneInfo("Europe/Berlin"))
    energy += D(kwh) * D("0.31" if there.weekday() < 5 and 7 <= there.hour < 20 else "0.19")
demand = max(kw for _, _, kw in readings) * D("9.50")

print("by_sku connection 14.90")
print("by_sku energy", energy)
print("by_sku demand", demand)
print("total", D("14.90") + energy + demand)
