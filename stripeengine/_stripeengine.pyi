# The compiled extension (see _build.py). Its functions are those of csrc/decl*.h; cffi checks their arguments.
from typing import Any

ffi: Any
lib: Any
