"""Play simulated days: `python -m tests.days --seed 7 --story`, `--seeds 200 [--from 1000]`, `--mutations`."""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.days import mutations
from tests.days.play import Outcome, play_seed
from tests.days.shrink import shrink
from tests.days.story import story
from tests.days.subjects import SUBJECTS, leave_out_all_but
from tests.days.twice import differing_days


def main() -> int:
    """The exit code: 1 where a law was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.days", description=__doc__)
    parser.add_argument("--seed", type=int, help="play this day, and tell of it where it fails")
    parser.add_argument("--story", action="store_true", help="tell of it in any case")
    parser.add_argument("--seeds", type=int, help="play so many days")
    parser.add_argument(
        "--from", dest="first", type=int, help="the first of them; by chance where it is not said"
    )
    parser.add_argument("--keep-going", action="store_true", help="do not end with the first that fails")
    parser.add_argument(
        "--twice",
        action="store_true",
        help="see that each of them is the same day in another process, in another order",
    )
    parser.add_argument(
        "--digests",
        type=int,
        nargs="+",
        metavar="SEED",
        help="play these, and say what tells one day from another",
    )
    parser.add_argument("--no-story", action="store_true", help="say only which day fails, and by which law")
    parser.add_argument(
        "--mutations",
        nargs="?",
        const="",
        metavar="WORDS",
        help="put old faults back, all or those whose name has these words, and see that each is found",
    )
    parser.add_argument("--subject", choices=[one.name for one in SUBJECTS], help="play this one alone")
    arguments = parser.parse_args()
    if arguments.subject is not None:
        leave_out_all_but(arguments.subject)
    if arguments.mutations is not None:
        return mutations.run(arguments.first or 0, arguments.mutations)
    if arguments.seed is not None:
        outcome = play_seed(arguments.seed)
        if arguments.story or (outcome.broken and not arguments.no_story):
            print(story(outcome, most=400))
        return _told(outcome, short=arguments.no_story)
    if arguments.digests is not None:
        for seed in arguments.digests:
            print(seed, play_seed(seed).digest, flush=True)
        return 0
    count = arguments.seeds or 200
    first = arguments.first if arguments.first is not None else random.randrange(10**9)
    if arguments.twice:
        differing = differing_days(range(first, first + count), arguments.subject)
        print(f"{count} days from seed {first}, twice: {len(differing)} are not the same day every time")
        print("".join(f"seed {seed}\n" for seed in differing), end="")
        return min(len(differing), 1)
    print(f"{count} days from seed {first}")
    failed = 0
    began = time.process_time()
    for seed in range(first, first + count):
        outcome = play_seed(seed)
        failed += _told(outcome, short=arguments.no_story)
        if failed and not arguments.keep_going:
            break
    spent = time.process_time() - began
    print(
        f"{failed} failed; {spent:.1f} s of processor time, {60 * count / max(spent, 1e-9):.0f} days a minute"
    )
    return min(failed, 1)


def _told(outcome: Outcome, *, short: bool = False) -> int:
    if outcome.broken is None:
        return 0
    print(f"seed {outcome.day.seed}: {outcome.broken}", flush=True)
    if not short:
        print(story(shrink(outcome)))
    return 1


if __name__ == "__main__":
    sys.exit(main())
