"""The sweeps of Sinkhorn, batched, on stabilised kernels: matrix products in place of exponentials.

With potentials f and g that are nearly right, the kernel K = exp((f + g - C) / ε) has rows and
columns that weigh about 1, so that it fits float32 at any temperature. Sweeps then scale it by
u = 1 / K (b v) and v = 1 / Kᵀ (a u), which is what softmin does to f and g, for one exponential a
block of sweeps in place of two a sweep; then f + ε log u and g + ε log v make a new kernel
(Schmitzer 2019, arXiv:1610.06519). Where an exponential leaves the range, it is cut off and the
block of sweeps only comes nearer, for the next kernel to go on.

Nothing here is differentiated, nothing leaves the device unless a tolerance is set.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from speechalign.alignment.pot import potentials_by_pot
from speechalign.alignment.solver import Solver

BLOCK = 10  # sweeps on one kernel; between two looks at the error

# Sweeps of a problem between x and x go a part of the way that the equations say, which is 1 (flat
# kernels) to 2 times the error (diagonal ones). Two of these leave 1/17 of any such error: they are
# the inverse roots of Chebyshev's polynomial of degree 2 on that interval.
PARTS = (0.5394, 0.8723) * 4

# A kernel is cut off at e^-50 = 2e-22, which is lost beside terms near 1 and keeps sums above 0.
# Below, products would be denormal numbers, which slow processors tenfold.
NEGLIGIBLE = -50.0
HIGHEST = 35.0  # e^35 times e^50, which the first scaling may be, is still a float32
LARGEST = 5e21  # of the scalings that follow


class Solution(NamedTuple):
    """Solutions of P problems; g is made of the f before it, and f of g."""

    f: Float[Tensor, "P n"]
    g: Float[Tensor, "P m"]
    rows: Float[Tensor, "P n m"]  # plan of f and g; its rows sum to a if all mass is moved
    columns: Float[Tensor, "P n m"]  # plan of the f before and g; its columns sum to b, likewise
    sweeps: int


@torch.no_grad()
def solve(
    cost: Float[Tensor, "P n m"],
    a: Float[Tensor, "P n"],
    b: Float[Tensor, "P m"],
    solver: Solver,
    start: tuple[Float[Tensor, "P n"], Float[Tensor, "P m"]] | None = None,
) -> Solution:
    """Solve P problems between a and b; with potentials to start from, there is no descent."""
    sweeper = Sweeper(cost, a, b, solver)
    if solver.backend == "pot":
        return sweeper.finish(*potentials_by_pot(cost, a, b, solver), solver.iterations)
    f, g = start or (nearest_cost(cost, b), torch.zeros_like(b))
    temperatures = [] if start else solver.temperatures()
    for epsilon in temperatures:
        f, g, _ = sweeper.sweep(f, g, epsilon, BLOCK)
    made = 0
    while made < solver.iterations:
        block = min(BLOCK, solver.iterations - made)
        f, g, error = sweeper.sweep(f, g, solver.epsilon, block)  # of what they were before it
        made += block
        if solver.tolerance is not None and error.numel() and error.max() <= solver.tolerance:
            break
    return sweeper.finish(f, g, len(temperatures) * BLOCK + made + 1)


class Sweeper:
    """Makes sweeps over P problems, in memory that all their kernels share.

    Fresh memory for every kernel costs a processor as much as the exponentials do.
    """

    def __init__(
        self,
        cost: Float[Tensor, "P n m"],
        a: Float[Tensor, "P n"],
        b: Float[Tensor, "P m"],
        solver: Solver,
    ):
        """Lay out the memory: a vector times a matrix is quick if its rows lie in one piece."""
        self.cost, self.a, self.b, self.solver = cost, a, b, solver
        self.down = torch.empty_like(cost, memory_format=torch.contiguous_format)
        self.across = torch.empty_like(cost.mT, memory_format=torch.contiguous_format)

    def sweep(
        self, f: Float[Tensor, "P n"], g: Float[Tensor, "P m"], epsilon: float, sweeps: int
    ) -> tuple[Float[Tensor, "P n"], Float[Tensor, "P m"], Float[Tensor, " P"]]:
        """Make some sweeps from f and g; return what they become, and how wrong they were.

        That is the marginal error of the rows before the first sweep, if all mass is moved: read
        where nothing is cut off but what is nothing. Later sweeps would see their kernel's error.
        """
        kernel = self._kernel(f, g, epsilon)
        torch.mul(kernel.mT, self.b.unsqueeze(2), out=self.across)
        kernel.mul_(self.a.unsqueeze(2))
        rows, columns = (Scaling(start, epsilon, self.solver) for start in (f, g))
        sums = torch.bmm(columns.values, self.across)
        error = (self.a * rows.misfit(sums).squeeze(1)).sum(dim=1)
        for sweep in range(sweeps):
            sums = torch.bmm(columns.values, self.across) if sweep else sums
            rows.update(sums)
            columns.update(torch.bmm(rows.values, self.down))
        f, g = f + rows.change(), g + columns.change()
        return (*self._balanced(f, g), error)

    def _balanced(
        self, f: Float[Tensor, "P n"], g: Float[Tensor, "P m"]
    ) -> tuple[Float[Tensor, "P n"], Float[Tensor, "P m"]]:
        """Raise one side and lower the other so that both hold as much mass.

        Sweeps take long to find that where `reach` is far, and at no price if all mass is moved
        (Séjourné et al. 2022, arXiv:2201.00730, for marginals that are held by KL).
        """
        if self.solver.reach is None:
            return f, g
        force = self.solver.reach**2
        held = [
            torch.logsumexp(w.log() - p / force, dim=1, keepdim=True)
            for w, p in ((self.a, f), (self.b, g))
        ]
        shift = 0.5 * force * (held[0] - held[1])
        return f + shift, g - shift

    def finish(self, f: Float[Tensor, "P n"], g: Float[Tensor, "P m"], sweeps: int) -> Solution:
        """Make g of f, then f of g, and keep the plans of both moments."""
        kernel = self._kernel(f, g, self.solver.epsilon)
        rows, columns = (Scaling(start, self.solver.epsilon, self.solver) for start in (f, g))
        columns.update(torch.bmm(self.a.unsqueeze(1), kernel))
        kernel.mul_(columns.values).mul_(self.b.unsqueeze(1))
        rows.update(kernel.sum(dim=2).unsqueeze(1))
        row_plan = kernel * (rows.values * self.a.unsqueeze(1)).mT
        column_plan = kernel.mul_(self.a.unsqueeze(2))
        return Solution(f + rows.change(), g + columns.change(), row_plan, column_plan, sweeps)

    def _kernel(
        self, f: Float[Tensor, "P n"], g: Float[Tensor, "P m"], epsilon: float
    ) -> Float[Tensor, "P n m"]:
        """Write K."""
        kernel = torch.sub(f.unsqueeze(2), self.cost, out=self.down)
        kernel.add_(g.unsqueeze(1)).mul_(1 / epsilon)
        return kernel.clamp_(NEGLIGIBLE, HIGHEST).exp_()


class Scaling:
    """What one side's potential has changed by on a kernel, as the factor exp(change / ε)."""

    def __init__(self, potential: Float[Tensor, "P n"], epsilon: float, solver: Solver):
        """Begin with no change to `potential`."""
        self.values = torch.ones_like(potential).unsqueeze(1)
        self.epsilon, self.damping = epsilon, solver.damping(epsilon)
        self.moved = solver.reach is not None
        if self.moved:
            self.pull = torch.exp((self.damping - 1) / epsilon * potential).unsqueeze(1)
        self.further = False

    def update(self, sums: Float[Tensor, "P 1 n"]) -> None:
        """Make the marginals right, for these sums of kernel times the other side's scaling.

        All but the first go half as far again, which takes a third to a tenth of the sweeps on
        hard problems (Lehmann et al. 2021, arXiv:2012.12562). Marginals that are not held
        exactly are pulled towards 0.
        """
        if self.moved:
            new = sums.pow(-self.damping).mul_(self.pull)
        elif self.further:
            new = (sums * self.values).rsqrt_().div_(sums)
        else:
            new = sums.reciprocal()
        limited = self.further or self.moved
        self.values = new.clamp_(1 / LARGEST, LARGEST) if limited else new
        self.further = True

    def misfit(self, sums: Float[Tensor, "P 1 n"]) -> Float[Tensor, "P 1 n"]:
        """How far the marginals are from right, as shares of the weights."""
        target = sums.pow(-self.damping).mul_(self.pull) if self.moved else 1 / sums
        return (self.values / target - 1).abs_()

    def change(self) -> Float[Tensor, "P n"]:
        """Return the change of the potential."""
        return self.epsilon * self.values.squeeze(1).log()


@torch.no_grad()
def solve_self(cost: Float[Tensor, "P n n"], a: Float[Tensor, "P n"], solver: Solver) -> Solution:
    """Solve P symmetric problems between a and a, whose two potentials are one.

    The kernel needs no descent: its diagonal is 1. Going a part of the way converges where taking
    turns would oscillate (Feydy et al. 2019, section 3.1, go half).
    """
    if solver.backend == "pot":
        return solve(cost, a, a, solver)
    epsilon, power = solver.epsilon, -solver.damping(solver.epsilon)
    kernel = torch.mul(cost, -1 / epsilon).clamp_(min=NEGLIGIBLE).exp_().mul_(a.unsqueeze(2))
    u = torch.ones_like(a).unsqueeze(1)
    for part in PARTS:
        updated = torch.bmm(u, kernel).pow_(power * part)
        u = updated.mul_(u.pow(1 - part)).clamp_(1 / LARGEST, LARGEST)
    v = torch.bmm(u, kernel).pow_(power)
    columns = kernel.mul_(u.mT).mul_(v * a.unsqueeze(1))
    f, g = (epsilon * scaling.squeeze(1).log() for scaling in (v, u))
    return Solution(f, g, columns.mT, columns, len(PARTS) + 1)


def nearest_cost(cost: Float[Tensor, "P n m"], b: Float[Tensor, "P m"]) -> Float[Tensor, "P n"]:
    """Start where each row of the kernel has a 1 and nothing above it."""
    return cost.masked_fill((b == 0).unsqueeze(1), torch.inf).amin(dim=2)
