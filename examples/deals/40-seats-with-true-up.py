"""What 40-seats-with-true-up.yaml must come to, worked out by itself."""
committed, rate = 50, 30
highest = max(48, 57, 51, 53)
true_up = max(highest - committed, 0) * 3 * rate

print("2026-10 total", committed * rate)
print("2026-11 total", committed * rate)
print("2026-12 total", committed * rate + true_up)
print("2026-12 by_sku seat", committed * rate)
print("2026-12 by_sku seat.true-up", true_up)
print("2027-01 total", committed * rate)
