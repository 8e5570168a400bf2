"""A sender of webhooks that dies by SIGKILL when it has sent one and not noted it: `webhook_process.py DATABASE`."""

import os
import signal
import sys
import time

from support.job_stores import Clock, opened

from api.inputs.addresses import AddressGuard
from api.jobs.outbox import Delivery, DeliveryState
from api.jobs.webhooks import WebhookSender
from api.stores.outbox import SqlWebhookOutbox
from api.webhook_client import WebhookClient


class Deadly(SqlWebhookOutbox):
    """Never comes to note anything."""

    def record_delivery(self, delivery: Delivery, outcome: str, state: DeliveryState, due_at: float = 0.0) -> bool:
        print(delivery.id, outcome, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("dead by now")


if __name__ == "__main__":
    with opened(sys.argv[1], Clock(time.time())) as stores:
        outbox = Deadly(stores.database, stores.clock)
        post = WebhookClient(AddressGuard(True, ())).post
        sender = WebhookSender(outbox, post, lambda _: (b"{}", "application/json"), clock=stores.clock)
        sender.start()
        signal.pause()
