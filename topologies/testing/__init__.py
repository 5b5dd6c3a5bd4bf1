"""What families and layers promise, for whoever writes one: tests that are inherited or called, run by pytest.

>>> from topologies.testing.family import check_family
>>> from topologies.families import FAMILIES
>>> check_family(FAMILIES["butterfly"], sizes=[(4, 4)])

A layer is tested by a class that inherits :class:`topologies.testing.layers.contract.LayerContract`.
"""
