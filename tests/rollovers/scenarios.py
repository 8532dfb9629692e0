"""Ten years of each kind of rollover, and what is to have happened in them."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from tests.rollovers.caches import Verdict
from tests.rollovers.holding import Held
from tests.rollovers.world import Climate, MakeFacts, MakeTiming, World, as_they_are, honest
from xfer.config_dnssec import DAY, HOUR, MINUTE, DnssecPolicy, KeyLayout, KskRollover
from xfer.dnssec import commands
from xfer.dnssec.keystate import Goal, ZoneState

QUIET = DnssecPolicy(
    zsk_lifetime=0,
    publish_safety=HOUR,
    retire_safety=HOUR,
    propagation=10 * MINUTE,
    parent_propagation=2 * HOUR,
    parent_ds_ttl=DAY,
)
"""Nothing rolls by itself."""
CSK = attrs.evolve(QUIET, keys=KeyLayout.CSK)
HELD = attrs.evolve(QUIET, keys=KeyLayout.ZSK)
ROUGH = Climate(slow=HOUR, outages=60 * DAY, down=300 * DAY)


@attrs.frozen
class Scenario:
    """policy, climate: at the start; script: what is done from outside, given the world; least:
    what has to have happened in ten years, by the kind of event; kind: of world."""

    name: str
    policy: DnssecPolicy
    climate: Climate
    least: dict[str, int]
    script: Callable[[World], None] = lambda world: None
    kind: type[World] = World

    def world(
        self, seed: int, timing: MakeTiming = honest, believed: MakeFacts = as_they_are
    ) -> World:
        """The world at its beginning."""
        world = self.kind(self.policy, self.climate, seed, timing, believed)
        world.enable()
        self.script(world)
        return world

    def run(self, years: float, seed: int) -> tuple[World, Verdict]:
        """The world after that time, and the verdict on all of it."""
        world = self.world(seed)
        return world, world.pass_years(years)


def _every(world: World, least: float, most: float, what: Callable[[], None]) -> None:
    def again() -> None:
        what()
        world.after(world.random.uniform(least, most), again)

    world.after(world.random.uniform(least, most), again)


def _algorithms(world: World) -> None:
    def change() -> None:
        others = [number for number in (8, 13, 15) if number != world.policy.algorithm]
        world.policy = attrs.evolve(world.policy, algorithm=world.random.choice(others))
        world.look()

    _every(world, 20 * DAY, 90 * DAY, change)


def _layouts(world: World) -> None:
    def change() -> None:
        other = {KeyLayout.CSK: KeyLayout.KSK_ZSK, KeyLayout.KSK_ZSK: KeyLayout.CSK}
        world.policy = attrs.evolve(world.policy, keys=other[world.policy.keys])
        world.look()

    _every(world, 20 * DAY, 90 * DAY, change)


def _compromises(world: World, most: float = 40 * DAY) -> None:
    def change() -> None:
        if world.zone is None or not world.zone.keys:
            return
        ident = world.random.choice([key.ident for key in world.zone.keys])
        world.command(
            lambda zone, facts: (
                commands.roll_compromised(zone, ident, world.policy, world.now, facts).zone
            )
        )

    _every(world, DAY / 2, most, change)


def _rolls(world: World) -> None:
    """Rollovers asked for by somebody who does not care what else is under way."""

    def change() -> None:
        if world.zone is None or not world.zone.keys:
            return
        role = world.random.choice(sorted({key.role for key in world.zone.keys}, key=str))
        world.command(lambda zone, facts: commands.roll(zone, role, world.policy))

    _every(world, HOUR, 40 * DAY, change)


def _on_and_off(world: World) -> None:
    """Enabled, disabled, deleted and enabled again, by somebody who tries all the time."""

    def change() -> None:
        if world.zone is None:
            return
        if world.zone.state is ZoneState.DELETED:
            world.enable()
        elif world.zone.state in (ZoneState.PENDING, ZoneState.ACTIVE):
            if world.random.random() < 0.02:
                world.command(lambda zone, facts: commands.disable(zone))
        elif world.random.random() < 0.02:
            world.command(lambda zone, facts: commands.cancel_disable(zone))
        else:
            deleted = world.command(
                lambda zone, facts: commands.delete(zone, world.policy, world.now, facts)
            )
            world.counts["deleted"] += deleted

    _every(world, MINUTE, 12 * HOUR, change)


def _everything(world: World) -> None:
    _algorithms(world)
    _compromises(world)
    _rolls(world)


def rolling(world: World) -> bool:
    """Whether any key is on its way out."""
    return world.zone is not None and any(k.goal is Goal.LEAVE for k in world.zone.keys)


SCENARIOS = (
    Scenario(
        "zsk", attrs.evolve(QUIET, zsk_lifetime=30 * DAY), ROUGH, {"zsk lifetime": 80, "expired": 1}
    ),
    Scenario(
        "ksk double-ksk", attrs.evolve(QUIET, ksk_lifetime=60 * DAY), ROUGH, {"ksk lifetime": 35}
    ),
    Scenario(
        "ksk double-ksk, CDS",
        attrs.evolve(QUIET, ksk_lifetime=60 * DAY),
        attrs.evolve(ROUGH, automatic=True),
        {"ksk lifetime": 35},
    ),
    Scenario(
        "ksk double-ds",
        attrs.evolve(QUIET, ksk_lifetime=60 * DAY, ksk_rollover=KskRollover.DOUBLE_DS),
        ROUGH,
        {"ksk lifetime": 35},
    ),
    Scenario(
        "ksk double-ds, CDS",
        attrs.evolve(QUIET, ksk_lifetime=60 * DAY, ksk_rollover=KskRollover.DOUBLE_DS),
        attrs.evolve(ROUGH, automatic=True),
        {"ksk lifetime": 30},
    ),
    Scenario("csk", attrs.evolve(CSK, ksk_lifetime=60 * DAY), ROUGH, {"csk lifetime": 35}),
    Scenario(
        "csk, by hand",
        attrs.evolve(CSK, ksk_lifetime=60 * DAY),
        attrs.evolve(ROUGH, by_hand=True),
        {"csk lifetime": 35},
    ),
    Scenario(
        "algorithm, ksk-zsk", QUIET, ROUGH, {"ksk algorithm": 20, "zsk algorithm": 20}, _algorithms
    ),
    Scenario("algorithm, csk", CSK, ROUGH, {"csk algorithm": 20}, _algorithms),
    Scenario("layout", QUIET, ROUGH, {"csk layout": 15, "ksk layout": 8}, _layouts),
    Scenario(
        "emergency",
        QUIET,
        attrs.evolve(ROUGH, slow=0.0),
        {"ksk emergency": 15, "zsk emergency": 40},
        _compromises,
    ),
    Scenario(
        "emergency, slow human",
        QUIET,
        attrs.evolve(ROUGH, slow=0.0, human=(DAY, 6 * DAY)),
        {"ksk emergency": 40, "zsk emergency": 80},
        lambda world: _compromises(world, 6 * DAY),
    ),
    Scenario(
        "enabled and disabled",
        QUIET,
        attrs.evolve(ROUGH, human=(0.0, 2 * DAY)),
        {"active": 30, "disabled": 30, "deleted": 30},
        _on_and_off,
    ),
    Scenario(
        "enabled and disabled, CDS",
        CSK,
        attrs.evolve(ROUGH, automatic=True),
        {"active": 30, "disabled": 30, "deleted": 30},
        _on_and_off,
    ),
    Scenario(
        "everything",
        attrs.evolve(QUIET, ksk_lifetime=90 * DAY, zsk_lifetime=30 * DAY),
        attrs.evolve(ROUGH, slow=0.0, automatic=True),
        {"zsk command": 5, "ksk command": 5, "zsk emergency": 5, "ksk algorithm": 5},
        _everything,
    ),
    Scenario(
        "zsk, KSK elsewhere",
        attrs.evolve(HELD, zsk_lifetime=30 * DAY),
        ROUGH,
        {"zsk lifetime": 60, "their ksk": 25, "handed in": 300},
        kind=Held,
    ),
    Scenario(
        "zsk, KSK elsewhere, by hand",
        attrs.evolve(HELD, zsk_lifetime=30 * DAY),
        attrs.evolve(ROUGH, by_hand=True),
        {"zsk lifetime": 60, "their ksk": 25, "handed in": 300},
        kind=Held,
    ),
    Scenario(
        "emergency, KSK elsewhere",
        HELD,
        attrs.evolve(ROUGH, slow=0.0),
        {"zsk emergency": 30, "their ksk": 15},
        _compromises,
        Held,
    ),
)
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
