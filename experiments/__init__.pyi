from experiments.court.trial import judge as judge
from experiments.lab.mitigations import Mitigation as Mitigation
from experiments.lab.mitigations import mitigated as mitigated
from experiments.lab.presets import design as design
from experiments.lab.presets import designs as designs
from experiments.lab.setting import Setting as Setting
from experiments.lab.studies import study as study
from experiments.page.plot import plot as plot
