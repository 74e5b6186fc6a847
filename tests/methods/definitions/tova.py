"""TOVA drops for good what the last query gave least weight, averaged over all heads of the layer; golden/test_tova.py.

One head alone does not know what the others give, so it is not written out here.
"""

KNOBS = {"k": 6}
VARIANTS = [{"k": 1}]
