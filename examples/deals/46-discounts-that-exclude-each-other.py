"""What 46-discounts-that-exclude-each-other.yaml must come to, worked out by itself."""
from decimal import ROUND_HALF_UP, Decimal as D

machines, gpus = 5000 * D("0.10"), 1000 * D(2)
off_all, off_gpu = machines * 10 / 100, gpus * 25 / 100
machines_left, gpus_left = machines - off_all, gpus - off_gpu
coupon = D(100)
share = (coupon * machines_left / (machines_left + gpus_left)).quantize(D("0.01"), ROUND_HALF_UP)

print("by_step gpu", -off_gpu)
print("by_step all", -off_all)
print("by_step coupon", -coupon)
print("by_sku vm.hour", machines_left - share)
print("by_sku gpu.hour", gpus_left - (coupon - share))
print("by_kind usage", machines + gpus)
print("by_kind discount", -(off_all + off_gpu + coupon))
print("total", machines_left + gpus_left - coupon)
