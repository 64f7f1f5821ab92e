"""Which member is picked, how often, in which order, and what happens when there is none."""

from __future__ import annotations

import collections
import random
import threading
from collections.abc import Callable, Sequence

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydoudou import Member, MemberState, NoMemberAvailable, RoundRobin, SmoothWeighted, WeightedRandom
from pydoudou.balancers import TableBalancer
from pydoudou.balancers.smooth_weighted import evenly, smooth_order, whole_weights
from pydoudou.discovery.merging.snapshot import Snapshot

Make = Callable[..., TableBalancer[object]]
EVERY = pytest.mark.parametrize("make", [RoundRobin, WeightedRandom, SmoothWeighted])
BY_WEIGHT = pytest.mark.parametrize("make", [WeightedRandom, SmoothWeighted])


@attrs.define(eq=False)
class Views:
    """The seam to the registry: a snapshot that a test replaces."""

    shown: Snapshot

    @classmethod
    def of(cls, *weights: float) -> Views:
        return cls(snapshot(members(weights)))

    def snapshot(self, service: str) -> Snapshot:
        return self.shown

    def explain(self, service: str) -> str:
        return f"service {service!r}, modes memberlist; knows nobody"


def members(weights: Sequence[float]) -> tuple[Member, ...]:
    return tuple(Member("orders", "10.0.0.1", port, weight=weight) for port, weight in enumerate(weights, 1))


def snapshot(candidates: tuple[Member, ...]) -> Snapshot:
    return Snapshot("orders", candidates, candidates)


def ports(balancer: TableBalancer[object], count: int) -> list[int]:
    return [balancer.pick().port for _ in range(count)]


def shares(balancer: TableBalancer[object], count: int) -> dict[int, float]:
    return {port: picks / count for port, picks in collections.Counter(ports(balancer, count)).items()}


def test_round_robin_takes_every_member_in_turn_whatever_the_weights() -> None:
    first = ports(RoundRobin("orders", Views.of(5, 1, 3)), 9)
    assert first[:3] == first[3:6] == first[6:]
    assert sorted(first[:3]) == [1, 2, 3]


def test_eight_threads_share_round_robin_exactly() -> None:
    balancer = RoundRobin("orders", Views.of(1, 1, 1, 1, 1))
    counts: list[collections.Counter[int]] = []
    threads = [
        threading.Thread(target=lambda: counts.append(collections.Counter(ports(balancer, 10_000)))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = sum(counts, collections.Counter())
    assert set(total) == {1, 2, 3, 4, 5}
    assert all(abs(count - 16_000) <= 8 for count in total.values()), total


def test_round_robin_goes_on_where_it_was_when_the_members_change() -> None:
    views = Views.of(*[1] * 100)
    balancer = RoundRobin("orders", views)
    before = balancer.pick().port
    views.shown = snapshot(members([1] * 100))
    assert balancer.pick().port == before % 100 + 1


def test_smooth_weighted_spreads_the_heavy_member_as_nginx_does() -> None:
    assert smooth_order([5, 1, 1]) == [0, 0, 1, 0, 2, 0, 0]
    cycle = ports(SmoothWeighted("orders", Views.of(5, 1, 1)), 14)
    assert cycle[:7] == cycle[7:]
    rotations = [[1, 1, 2, 1, 3, 1, 1][turn:] + [1, 1, 2, 1, 3, 1, 1][:turn] for turn in range(7)]
    assert cycle[:7] in rotations


def nginx(weights: Sequence[int]) -> list[int]:
    """The algorithm as nginx runs it, member by member."""
    counters, order = [0] * len(weights), []
    for _ in range(sum(weights)):
        counters = [counter + weight for counter, weight in zip(counters, weights, strict=True)]
        best = max(range(len(weights)), key=lambda index: (counters[index], -index))
        counters[best] -= sum(weights)
        order.append(best)
    return order


@settings(max_examples=200)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=9))
def test_the_computed_cycle_is_nginxs_order(weights: list[int]) -> None:
    assert smooth_order(weights) == nginx(weights)


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=60))
def test_a_cycle_is_short_and_close_to_the_weights(weights: list[float]) -> None:
    whole = whole_weights(weights)
    assert sum(whole) <= 4096 + len(weights)
    for weight, cut in zip(weights, whole, strict=True):
        share, wanted = cut / sum(whole), weight / sum(weights)
        assert abs(share - wanted) <= (len(weights) + 2) / 4096


def test_ten_thousand_different_weights_still_make_a_bounded_cycle() -> None:
    weights = [1 + index % 997 for index in range(10_000)]
    assert len(smooth_order(whole_weights(weights))) <= 50_000


@BY_WEIGHT
def test_shares_follow_the_weights(make: Make) -> None:
    random.seed(7)
    found = shares(make("orders", Views.of(1, 2, 3)), 12_000)
    assert found == {
        1: pytest.approx(1 / 6, abs=0.02),
        2: pytest.approx(2 / 6, abs=0.02),
        3: pytest.approx(3 / 6, abs=0.02),
    }


@BY_WEIGHT
def test_weights_may_be_fractions(make: Make) -> None:
    random.seed(7)
    found = shares(make("orders", Views.of(0.25, 0.75)), 8_000)
    assert found[1] == pytest.approx(0.25, abs=0.02)


@EVERY
def test_a_member_of_weight_zero_takes_no_traffic(make: Make) -> None:
    assert set(ports(make("orders", Views.of(0, 1, 2)), 200)) == {2, 3}


@EVERY
def test_members_that_all_have_weight_zero_are_equal(make: Make) -> None:
    random.seed(7)
    found = shares(make("orders", Views.of(0, 0, 0)), 3_000)
    assert all(share == pytest.approx(1 / 3, abs=0.05) for share in found.values())
    assert len(found) == 3


@EVERY
def test_an_excluded_member_is_not_picked_by_member_or_by_key(make: Make) -> None:
    views = Views.of(1, 1, 1)
    balancer = make("orders", views)
    first, second, _ = views.shown.candidates
    assert {balancer.pick(exclude=[first, second.key]).port for _ in range(50)} == {3}


@EVERY
@pytest.mark.parametrize("weights", [(0, 1), (0, 0, 2), (1, 0)])
def test_a_member_of_weight_zero_is_no_retry_either(make: Make, weights: tuple[float, ...]) -> None:
    views = Views.of(*weights)
    weighted = [member for member in views.shown.candidates if member.weight]
    with pytest.raises(NoMemberAvailable, match="has 1 member to pick, and all are excluded"):
        make("orders", views).pick(exclude=weighted)


@EVERY
def test_of_members_that_all_have_weight_zero_the_others_are_retries(make: Make) -> None:
    views = Views.of(0, 0, 0)
    first, *others = views.shown.candidates
    balancer = make("orders", views)
    assert {balancer.pick(exclude=[first]) for _ in range(50)} == set(others)


def with_suspects(alive: Sequence[float], suspects: Sequence[float]) -> Snapshot:
    """A view in which the first members are alive, and the others suspect."""
    everybody = members([*alive, *suspects])
    living = everybody[: len(alive)]
    doubtful = tuple(attrs.evolve(member, state=MemberState.SUSPECT) for member in everybody[len(alive) :])
    return Snapshot("orders", (*living, *doubtful), living)


@EVERY
def test_suspects_are_tried_when_nobody_else_is_left(make: Make) -> None:
    shown = with_suspects([1, 2], [1, 1])
    balancer = make("orders", Views(shown))
    living, doubtful = shown.candidates, shown.members[2:]
    assert {balancer.pick() for _ in range(30)} == set(living)
    assert {balancer.pick(exclude=living[:1]) for _ in range(30)} == {living[1]}
    assert {balancer.pick(exclude=living) for _ in range(50)} == set(doubtful)
    assert balancer.pick(exclude=[*living, doubtful[0]]) == doubtful[1]
    with pytest.raises(NoMemberAvailable, match="4 members to pick, and all are excluded"):
        balancer.pick(exclude=shown.members)


@EVERY
@pytest.mark.parametrize(("alive", "suspects"), [([1], [0]), ([0, 1], [0]), ([1], [0, 0])])
def test_a_suspect_of_weight_zero_is_no_last_resort(
    make: Make, alive: Sequence[float], suspects: Sequence[float]
) -> None:
    shown = with_suspects(alive, suspects)
    with pytest.raises(NoMemberAvailable):
        make("orders", Views(shown)).pick(exclude=shown.candidates)


@EVERY
def test_a_suspect_of_weight_zero_is_one_when_nobody_has_a_weight(make: Make) -> None:
    shown = with_suspects([0], [0])
    assert make("orders", Views(shown)).pick(exclude=shown.candidates) == shown.members[1]


@pytest.mark.parametrize("make", [RoundRobin, SmoothWeighted])
@pytest.mark.parametrize("dead", [0, 1, 2])
@pytest.mark.parametrize("weights", [(1, 1, 1), (3, 1, 2), (1, 1, 1, 1, 1, 9)])
def test_a_retry_takes_nobodys_turn(make: Make, weights: tuple[int, ...], dead: int) -> None:
    views = Views.of(*weights)
    down = views.shown.candidates[dead]
    balancer = make("orders", views, random=random.Random(5))
    calls = 6_000
    served: collections.Counter[int] = collections.Counter()
    for _ in range(calls):
        member = balancer.pick()
        served[(balancer.pick(exclude=[member]) if member == down else member).port] += 1
    parts = {m.port: m.weight if make is SmoothWeighted else 1 for m in views.shown.candidates if m is not down}
    for port, part in parts.items():
        assert served[port] == pytest.approx(calls * part / sum(parts.values()), rel=0.06)


@pytest.mark.parametrize("make", [RoundRobin, SmoothWeighted])
@pytest.mark.parametrize("dead", [(3, 4), (0, 2), (1, 2, 3)])
def test_retries_that_meet_another_member_that_is_down_take_nobodys_turn(make: Make, dead: tuple[int, ...]) -> None:
    views = Views.of(1, 1, 1, 1, 1, 1)
    down = [views.shown.candidates[place] for place in dead]
    balancer = make("orders", views, random=random.Random(5))
    served: collections.Counter[int] = collections.Counter()
    for _ in range(9_000):
        tried = [balancer.pick()]
        while tried[-1] in down:
            tried.append(balancer.pick(exclude=tried))
        served[tried[-1].port] += 1
    assert len(served) == 6 - len(dead)
    assert all(count == pytest.approx(9_000 / len(served), rel=0.06) for count in served.values()), served


@BY_WEIGHT
def test_retries_follow_the_weights_though_nearly_all_weight_is_excluded(make: Make) -> None:
    views = Views.of(1_000, 1, 3)
    balancer = make("orders", views, random=random.Random(5))
    found = collections.Counter(balancer.pick(exclude=views.shown.candidates[:1]).port for _ in range(4_000))
    assert found[3] / 4_000 == pytest.approx(0.75, abs=0.03)


@EVERY
@pytest.mark.parametrize("weights", [[1.0, 1e308], [1e308, 1e308, 1.0], [1e308, 0.0], [1e-300, 1.0]])
def test_absurd_weights_are_cut(make: Make, weights: list[float]) -> None:
    views = Views.of(*weights)
    balancer = make("orders", views)
    for _ in range(100):
        assert balancer.pick().weight > 0
    if len([weight for weight in weights if weight]) > 1:
        assert balancer.pick(exclude=views.shown.candidates[:1]) in views.shown.candidates[1:]


@EVERY
def test_a_seeded_balancer_repeats_its_picks(make: Make) -> None:
    views = Views.of(1, 5, 2)
    first, second = (make("orders", views, random=random.Random(3)) for _ in range(2))
    assert ports(first, 50) == ports(second, 50)
    retries = [[one.pick(exclude=views.shown.candidates[:1]) for _ in range(20)] for one in (first, second)]
    assert retries[0] == retries[1]


def many_weights(count: int) -> list[int]:
    return [1 + place % 100 for place in range(count)]


@pytest.mark.parametrize("count", [100, 1_000])
def test_smooth_weighted_computes_no_whole_cycle_within_a_pick(count: int) -> None:
    weights = whole_weights(many_weights(count))
    lazy = evenly(weights, random.Random(1))
    order = list(lazy)
    assert collections.Counter(order) == dict(enumerate(weights))
    last: dict[int, int] = {}
    for place, index in enumerate(order):
        if index in last:
            # Its turns are as far apart as its weight says, give or take what the others' rounding does.
            assert place - last[index] <= 2 * len(order) / weights[index]
        last[index] = place


def test_many_threads_share_a_cycle_that_is_computed_meanwhile() -> None:
    weights = many_weights(100)
    balancer = SmoothWeighted("orders", Views.of(*weights))
    whole = whole_weights(weights)
    each = sum(whole) // 8
    counts: list[collections.Counter[int]] = []
    threads = [
        threading.Thread(target=lambda: counts.append(collections.Counter(ports(balancer, each)))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = sum(counts, collections.Counter())
    assert all(abs(total[port] - weight) <= 8 for port, weight in enumerate(whole, 1)), total


@EVERY
def test_excluding_everybody_says_so(make: Make) -> None:
    views = Views.of(1, 1)
    with pytest.raises(
        NoMemberAvailable, match=r"2 members to pick, and all are excluded: 10\.0\.0\.1:1, 10\.0\.0\.1:2"
    ):
        make("orders", views).pick(exclude=views.shown.candidates)


@EVERY
def test_no_member_says_what_is_known(make: Make) -> None:
    with pytest.raises(NoMemberAvailable, match="'orders', modes memberlist; knows nobody"):
        make("orders", Views.of()).pick()


@EVERY
def test_without_a_registry_the_error_says_how_to_start_one(make: Make) -> None:
    balancer = make("orders")
    assert balancer.members() == ()
    with pytest.raises(NoMemberAvailable, match="new_node"):
        balancer.pick()


@EVERY
def test_a_closed_balancer_picks_no_more(make: Make) -> None:
    balancer = make("orders", Views.of(1))
    balancer.close()
    assert balancer.members() == ()
    with pytest.raises(NoMemberAvailable, match="closed"):
        balancer.pick()


@EVERY
def test_candidates_are_picked_and_all_members_are_listed(make: Make) -> None:
    alive, suspect = members([1, 1])
    suspect = attrs.evolve(suspect, state=MemberState.SUSPECT)
    balancer = make("orders", Views(Snapshot("orders", (alive, suspect), (alive,))))
    assert set(ports(balancer, 20)) == {1}
    assert balancer.members() == (alive, suspect)


@EVERY
@pytest.mark.parametrize(
    "arguments",
    [
        {"service": ""},
        {"service": 5},
        {"service": None},
        {"service": "orders", "registry": "memberlist"},
        {"service": "orders", "random": 7},
    ],
    ids=str,
)
def test_arguments_that_cannot_work_are_refused_where_they_are_given(make: Make, arguments: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="accepted: "):
        make(**arguments)
