# Warnings, sanitizers, ccache and mold: what every target gets.
find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options(-Wall -Wextra -Wnon-virtual-dtor -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # False alarms of g++ 12's optimiser inside std::variant and std::string.
  add_compile_options(-Wno-maybe-uninitialized -Wno-restrict -Wno-dangling-pointer)
endif()
if(CCACHE)
  # Precompiled headers and ccache get along only with this (and CCACHE_SLOPPINESS, set by ./dev).
  add_compile_options($<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
endif()
if(GANTRY_SANITIZE)
  add_compile_options(-fsanitize=${GANTRY_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${GANTRY_SANITIZE})
endif()

# A static program under sanitizers: their runtimes need a dynamic one, but what is undefined can be found without any
# runtime, by a trap.
function(gantry_without_sanitizer_runtime target)
  if(GANTRY_SANITIZE)
    target_compile_options(${target} PRIVATE -fno-sanitize=all)
    target_link_options(${target} PRIVATE -fno-sanitize=all)
    if(GANTRY_SANITIZE MATCHES undefined)
      target_compile_options(${target} PRIVATE -fsanitize=undefined -fno-sanitize=vptr -fsanitize-undefined-trap-on-error)
    endif()
  endif()
endfunction()

# Of a source's compilation most goes into headers and the templates of them that it uses, the same ones as its
# neighbours': `size` sources compiled as one cost little more than two of them. The presets for work on the sources
# leave it out: there a change should compile one file, and each must include what it needs.
function(gantry_unity target size)
  if(GANTRY_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${size})
    # What is in no header is taken for one, since it is included.
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
endfunction()
