"""The composition stage: elements and counts under charge balance and Wyckoff occupation."""
