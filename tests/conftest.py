"""What holds for every test."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# How long hypothesis takes to draw inputs says something about the machine: on a clean clone the first text drawn
# builds its character tables. Hypothesis leaves both checks out by itself where CI is set; tests that are about time
# measure it themselves.
settings.register_profile("any machine", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
