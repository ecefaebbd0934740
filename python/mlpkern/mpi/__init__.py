"""Training on several processes and machines, by MPI; needs mpi4py.

Every rank runs the same program; ``mlpkern.mpi.fit`` takes the place of ``mlpkern.fit``. Importing
this module has an exception that nobody catches end the whole job.
"""

from mlpkern.mpi.fitting import fit
from mlpkern.mpi.ranks import end_the_job_on_errors, threads_per_rank

__all__ = ["fit", "threads_per_rank"]

end_the_job_on_errors()
