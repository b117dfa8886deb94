"""What `python -m deploy load` has Locust send: clients of the API who are signed in.

Change it: it is to be like your users. It is a locustfile, so `locust -f deploy/load/profile.py`
runs it by itself; https://docs.locust.io has what a task may do.
"""

import json
import time
from typing import Any

from locust import FastHttpUser, LoadTestShape, constant, events, task

from service.environment import environment

GIVEN = environment()
TOKEN = GIVEN["LOAD_TOKEN"]
STEPS: list[int] = json.loads(GIVEN["LOAD_STEPS"])  # clients of each
SECONDS = float(GIVEN["LOAD_SECONDS"])  # of each
SETTLING = 1.0  # seconds at its begin that are not counted


class Client(FastHttpUser):
    """Sends the next request when the last one is answered: clients are requests in flight."""

    wait_time = constant(0)

    def on_start(self) -> None:
        self.headers = {"Authorization": f"Bearer {TOKEN}"}

    @task(1)
    def account(self) -> None:
        self.client.get("/api/users/me", headers=self.headers)

    # sample
    @task(6)
    def newest(self) -> None:
        page = self.client.get("/api/posts?limit=20", headers=self.headers, name="/api/posts")
        items = page.json()["items"] if page.status_code == 200 else []
        if items:
            self.client.get(
                f"/api/posts/{items[0]['id']}", headers=self.headers, name="/api/posts/{id}"
            )

    @task(1)
    def write(self) -> None:
        body = {"title": "Of a load test", "body": "It leaves with the account that wrote it."}
        self.client.post("/api/posts", json=body, headers=self.headers)

    # end of sample


class Steps(LoadTestShape):
    """One after the other, each for as long; its figures are a line of JSON on standard output."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.first = 0.0  # when the first step began, in seconds
        self.number = -1
        self.begin = 0.0
        self.times: list[float] = []  # milliseconds
        self.failed = self.limited = 0
        events.request.add_listener(self.note)

    def tick(self) -> tuple[int, float] | None:
        now = time.perf_counter()
        self.first = self.first or now
        number = int((now - self.first) // SECONDS)
        if number != self.number:
            self.tell()
            self.number = number
        if number >= len(STEPS):
            return None
        return STEPS[number], 1000

    def note(self, response_time: float, exception: Any, response: Any, **_: object) -> None:
        now = time.perf_counter()
        if now - self.first - self.number * SECONDS < SETTLING:
            self.begin, self.times, self.failed, self.limited = now, [], 0, 0
            return
        self.times.append(response_time)
        if getattr(response, "status_code", 0) == 429:
            self.limited += 1
        elif exception is not None:
            self.failed += 1

    def tell(self) -> None:
        if self.number < 0:
            return
        times = sorted(self.times) or [0.0]
        found = {
            "clients": STEPS[self.number],
            "seconds": max(time.perf_counter() - self.begin, 0.001),
            "requests": len(self.times),
            "failed": self.failed,
            "limited": self.limited,
            "p50": times[len(times) // 2] / 1000,
            "p99": times[min(len(times) - 1, int(0.99 * len(times)))] / 1000,
        }
        print(json.dumps({"step": found}), flush=True)
