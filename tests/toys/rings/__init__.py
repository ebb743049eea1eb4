"""2-D points on a ring of modes: how many of them does a generator find?"""
