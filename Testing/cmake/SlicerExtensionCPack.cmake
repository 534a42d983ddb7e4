# Slicer packages the extension here; the stand-in installs with `cmake --install` instead.
