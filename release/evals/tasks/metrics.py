"""The tasks' metric as a row."""

from release.evals.metric import Metric

ACCURACY = Metric(
    key="task_accuracy",
    label="Task accuracy",
    phrase="accuracy",
    better="higher",
    screen="task accuracy",
    headline="Task accuracy",
    claim="capability_lost",
)
METRICS = (ACCURACY,)
