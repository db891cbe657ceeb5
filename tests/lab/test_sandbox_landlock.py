"""The attack suite, the honest controls and the library under landlock."""

from support.sandbox_suite import (  # noqa: F401
    backend_fixture,
    facts,
    test_dangerous_system_calls_do_not_reach_the_kernel,
    test_honest,
    test_hostile,
    test_the_whole_library_imports,
)

backend = backend_fixture("landlock")
