"""The laws of the pricing language, tried on random programs."""
LAWS = []
def chosen(world, count):
    return []
class Bench: pass
