"""What 09-split-cost.yaml must come to, worked out by itself."""
from fractions import Fraction as F

machines = {"i-1": ("m5.2xlarge", F("0.40"), 9 * 8 + 32), "i-2": ("m5.large", F("0.10"), 9 * 2 + 8), "i-3": ("m5.large", F("0.10"), 9 * 2 + 8)}
pods = [("p1", "i-1", (1, "0.5"), (2, 4), F(1)), ("p2", "i-1", (3, "1.5"), (12, 8), F(1)), ("p3", "i-2", (1, 0), (4, 4), F(1, 2))]

weights, cpu, memory = {}, F(0), F(0)
for name, machine, processors, gigabytes, hours in pods:
    processor, gigabyte = max(map(F, processors)) * hours, max(map(F, gigabytes)) * hours
    cpu, memory = cpu + processor, memory + gigabyte
    weights[name] = (machine, 9 * processor + gigabyte)
print("quantity pod.cpu.usage", cpu)
print("quantity pod.memory.usage", memory)
print("by_step split 0")
print("by_step idle 0")
print("by_kind usage", sum(cost for _, cost, _ in machines.values()))
print("by_kind allocated 0")
stays = {size: F(0) for size, _, _ in machines.values()}
for machine, (size, cost, whole) in machines.items():
    here = {name: weight for name, (where, weight) in weights.items() if where == machine}
    split = {name: cost * weight / whole for name, weight in here.items()}
    idle = cost - sum(split.values())
    stays[size] += 0 if here else idle
    for name, weight in here.items():
        print("by_resource", name, split[name] + idle * weight / sum(here.values()))
for size, cost in stays.items():
    print("by_sku", size, cost)
print("total", sum(cost for _, cost, _ in machines.values()))
