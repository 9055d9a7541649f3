"""The kernel of threads, which runs coroutines without a loop; with gevent its threads are greenlets."""
