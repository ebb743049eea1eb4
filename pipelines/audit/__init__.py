"""The audit of the metrics: real images, disturbed on purpose."""
