# Stand-in for the file that Slicer's build gives to `find_package(Slicer)`: just enough to configure an extension of
# Python modules without Slicer. What Slicer would only notice later is an error here.
set(Slicer_FOUND TRUE)
set(Slicer_VERSION "5.12.0")
set(Slicer_USE_FILE "${CMAKE_CURRENT_LIST_DIR}/UseSlicer.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${CMAKE_CURRENT_LIST_DIR}/SlicerExtensionGenerateConfig.cmake")
set(Slicer_EXTENSION_CPACK "${CMAKE_CURRENT_LIST_DIR}/SlicerExtensionCPack.cmake")
