// Nothing: of a target that only has precompiled headers for others, CMake wants a source.
