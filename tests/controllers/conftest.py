from hypothesis import settings

# The first example compiles; machines that run tests are shared.
settings.register_profile("compiled", deadline=None)
settings.load_profile("compiled")
