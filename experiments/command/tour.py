"""What `soberclip` alone prints: what to type first."""

TOUR = """\
soberclip: does a CLIP-style objective learn the animal or the background?

  soberclip predict --mu-spu 2 --sigma-xi 0  one world, by theory
  soberclip simulate --mu-spu 2 --n 1000     the same, from a thousand pairs
  soberclip show --mu-spu 2                  the same, as a picture
  soberclip check wang-lemma-d3 --quick      one published claim on trial
  soberclip sweep correlation -o c.zarr      a grid of worlds (plot draws it)
  soberclip counteranimal published          the paper's tables on trial
  soberclip reproduce                        all of it as one page, in 2 minutes
soberclip --help lists the verbs, soberclip VERB --help their settings."""
