"""Settings of the property tests of this room."""

from hypothesis import settings

# A busy machine is not a failure: properties are about values, the benchmarks are about time.
settings.register_profile("volumes", deadline=None, max_examples=50)
settings.load_profile("volumes")
