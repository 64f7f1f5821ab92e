"""What is remembered of members across calls, and what becomes of them on the way to a balancer's table; pure.

Nothing in here has a lock, a clock or a thread: times are passed in, and whoever calls sees to it that one changes
things at a time.
"""
