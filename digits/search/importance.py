"""How much each setting affects the quality of a trial.

Permutation importance of a random forest (Breiman, Random Forests, 2001, section 10): the forest learns a
trial's rank from its settings. A setting's importance is how much worse the forest becomes when that
setting's values are shuffled among the trials.
"""

from collections.abc import Sequence

import numpy as np

from digits.search.records import Trial
from digits.search.space import Space

LEAST_TRIALS = 8  # with fewer trials a forest learns only noise
TREES, REPEATS = 200, 30


def importance(trials: Sequence[Trial], space: Space) -> dict[str, float]:
    """Returns each setting's share of the total importance, the largest first; {} for too few trials.

    Trials are ranked by their epochs first, then by accuracy: a trial that was stopped early would have
    improved, but less than those that were not stopped.
    """
    tried = [trial for trial in trials if trial.history]
    if len(tried) < LEAST_TRIALS:
        return {}
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    names = sorted(space)
    shares = np.array([[space[name].share_of(trial.values[name]) for name in names] for trial in tried])
    order = sorted(range(len(tried)), key=lambda place: (len(tried[place].history), tried[place].best))
    ranks = np.empty(len(tried))
    ranks[order] = np.arange(len(tried)) / (len(tried) - 1)
    forest = RandomForestRegressor(TREES, min_samples_leaf=2, random_state=0).fit(shares, ranks)
    worse = permutation_importance(forest, shares, ranks, n_repeats=REPEATS, random_state=0).importances_mean
    worse = np.maximum(worse, 0)
    if not worse.sum():
        return {}
    found = zip(names, (worse / worse.sum()).tolist(), strict=True)
    return dict(sorted(found, key=lambda item: -item[1]))
