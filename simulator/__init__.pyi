from simulator.accuracy import Accuracy as Accuracy
from simulator.gaussian.fitting import fit as fit
from simulator.pixels.views import Pixels as Pixels
from simulator.towers.api import train as train
from simulator.towers.recipe import Recipe as Recipe
from simulator.world import Attribute as Attribute
from simulator.world import World as World
