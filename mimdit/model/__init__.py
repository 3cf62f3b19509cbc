"""The network. Importing it keeps torchao, which ExecuTorch brings and diffusers then imports, from talking on stderr."""

import logging

for _name in ("torchao", "torch.utils._pytree", "diffusers.quantizers.torchao.torchao_quantizer"):
    logging.getLogger(_name).setLevel(logging.ERROR)
