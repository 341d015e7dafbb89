"""What 05-capacity-reservations.yaml must come to, worked out by itself."""
from decimal import Decimal as D

hours = [(D(10), D(2))] * 24 + [(D("2.5"), D(0))]             # slot hours, and hours of machines in them
machines = covered_machines = covered_slots = free_slots = lost = D(0)
for slots, running in hours:
    units = D(3 * 4)
    free = slots - running
    of_machines = min(running, units / 4)
    units -= of_machines * 4
    of_slots = min(free, units / 4)
    lost += units - of_slots * 4
    machines, covered_machines = machines + running, covered_machines + of_machines
    covered_slots, free_slots = covered_slots + of_slots, free_slots + free - of_slots
assert machines + covered_slots + free_slots == D("242.5")
fees = 3 * D("0.06") * 25 + D("0.07") * 25
print("quantity m5.large.covered", covered_machines)
print("quantity m5.large.usage", machines - covered_machines)
print("quantity in_slot.m5.large.usage", machines)
print("quantity capacity.m5.large.covered", covered_slots)
print("line sku=capacity.m5.large kind=usage rate=0 quantity", machines)
print("line sku=capacity.m5.large kind=usage rate=0 amount 0")
print("line sku=capacity.m5.large kind=usage rate=0.1 quantity", free_slots)
print("line sku=capacity.m5.large kind=usage rate=0.1 amount", free_slots * D("0.1"))
print("unused r", lost)
print("unused z 25")
print("by_kind usage", free_slots * D("0.1"))
print("by_kind commitment", fees)
print("total", free_slots * D("0.1") + fees)
