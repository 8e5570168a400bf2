"""The ids that travel through every layer, as types of their own so that one is never taken for another."""

from typing import NewType

JobId = NewType("JobId", str)
PromptId = NewType("PromptId", str)
InstanceName = NewType("InstanceName", str)
