"""What 33-metered-allowance.yaml must come to, worked out by itself."""
from decimal import Decimal as D

usage = {"globex": (744, 1800), "initech": (100, 150)}      # machine hours, GB
machines = {account: hours * D("0.05") for account, (hours, _) in usage.items()}
traffic = {account: max(gb - 2 * hours, 0) * D("0.09") for account, (hours, gb) in usage.items()}

for account in usage:
    print("by_account", account, machines[account] + traffic[account])
print("by_sku vm.hour", sum(machines.values()))
print("by_sku egress.gb", sum(traffic.values()))
print("total", sum(machines.values()) + sum(traffic.values()))
