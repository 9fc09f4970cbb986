"""What the Python scripts share: they end with status 1 and a line for each thing that is not as it should be."""
import sys

_wrong = 0


def same(what, got, want):
    global _wrong
    if type(got) is not type(want) or got != want:
        print("%s: got %.200r, want %.200r" % (what, got, want), file=sys.stderr)
        _wrong += 1


def done():
    print("end")
    sys.exit(1 if _wrong else 0)
