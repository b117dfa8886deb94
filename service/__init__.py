"""The service: files are the chassis, folders are the features (see ARCHITECTURE.md).

No code here but what must come before all else: redis-py imports OpenTelemetry's SDK wherever it is
installed, for metrics that nobody asked it for, which takes 50 ms and 4 MB of each start. So there
is no OpenTelemetry until redis.py, which every app has, has imported it.
"""

import sys

sys.modules.setdefault("opentelemetry", None)  # type: ignore[arg-type]
