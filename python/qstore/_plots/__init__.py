# SPDX-License-Identifier: Apache-2.0
"""Pictures and pages of archives, analyses and benchmarks, drawn from JSON by matplotlib.

It needs nothing of the compiled part of the package: benchmarks/driver imports it by itself.
"""
