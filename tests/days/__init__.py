"""A trading day in a second: the product's deciding parts in one thread, against a hostile world, from a seed.

`python -m tests.days --seed 7 --story` plays one day and tells of it, `--seeds 200` plays so many, `--mutations` puts
old faults back and sees that each is found. A day that fails is made short and told in a line; its seed goes to
`failed_seeds.txt`, and `sh scripts/test --days` plays those too. See *How we test* in the documentation.

What takes part is a **subject** (`stage.Subject`, listed in `subjects.SUBJECTS`). A further one has a `name` and

- `choose(day, rng)`: what it does on that day, kept as `day.more[name]`, and its `Trouble`s. `rng` is its own dice.
- `build(stage)`: puts its part of the world and of the product into `stage.parts`, and says with `stage.on(kind,
  handler)` what each kind of its troubles does. Subjects are built in the order of the list, so a world that another
  one's product needs comes before it: what lies in `stage.parts["rest"]` is the manager's `rest_cls`.
- `begin(stage)`: starts the product's part, and names its laws with `stage.law(name, check)`; a check returns a
  sentence where the law is broken. They are checked after each round of the consumer, closely while something is in
  flux (`stage.stir(seconds)`), and at samples otherwise. A part that looks after itself handles its troubles `aside`,
  so that they do not have all others looked at closely.
- `end(stage)`, if it has one: what is done at the end, before the last check.

Everything that happens is in `stage.agenda`: `after` for the world, `timer` for the product (which waits while the
process does not run). `stage.note(text)` tells the story, `stage.dice(name)` are dice of one's own, so that a trouble
that is left out changes nothing else. Parts that others find: "market", "network", "desk" (the product's manager, with
`snapshot()`), "streams oracle".
"""
