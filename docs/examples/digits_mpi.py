"""Trains on the digits with several processes: mpiexec -n 3 python digits_mpi.py"""

import numpy as np
from mpi4py import MPI

import mlpkern as mk
from mlpkern import mpi
from mlpkern.datasets import load_digits

comm = MPI.COMM_WORLD
mk.set_num_threads(mpi.threads_per_rank())

x, labels = load_digits()
mine = slice(1500 * comm.rank // comm.size, 1500 * (comm.rank + 1) // comm.size)
net = mk.MLP([64, 32, 10], hidden="tanh", output="softargmax")
history = mpi.fit(
    net,
    x[mine],  # as if this rank had read a file of its own
    labels[mine],
    sharded=True,
    loss=mk.CrossEntropy(),
    optimizer=mk.Adam(net, lr=0.01),
    epochs=20,
    reproducible=True,
)
if comm.rank == 0:
    accuracy = np.mean(net.predict(x[1500:]).argmax(axis=1) == labels[1500:])
    cost = history["loss"][-1]
    print(f"{comm.size} ranks: loss {cost:.6f}, {accuracy:.1%} of what they have not seen")
