"""The metric's page on the Hub."""

import evaluate
from evaluate.utils import launch_gradio_widget

launch_gradio_widget(evaluate.load("reward_accuracy.py"))
