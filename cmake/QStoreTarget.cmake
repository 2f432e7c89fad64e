# Flags that every target of this project is compiled with.
function(qstore_configure_target target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES
    CXX_EXTENSIONS OFF CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    POSITION_INDEPENDENT_CODE ON)
  # Contraction into fused multiply-adds would make decoding depend on the machine.
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion
                         -ffp-contract=off)
  # g++ 12 sees an overlap in `"literal" + std::string` where there is none (GCC bug 105651).
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION MATCHES "^12\\.")
    target_compile_options(${target} PRIVATE -Wno-restrict)
  endif()
  if(QSTORE_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()

# qstore_compile_together(TARGET SIZE EXCEPT MODULE...): the files of each folder in batches of SIZE, but
# for those in the folders named or below them. Two files of a batch must not give one name to two things of their
# own.
function(qstore_compile_together target size)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "EXCEPT")
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
  # What is of a file's own is seen by it alone; the compiler cannot know that in a batch.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} PRIVATE -Wno-subobject-linkage)
  endif()
  get_target_property(sources ${target} SOURCES)
  foreach(source IN LISTS sources)
    get_filename_component(folder ${source} DIRECTORY)
    get_filename_component(module "${folder}" NAME)
    string(REPLACE "/" ";" folders "${folder}")
    set(is_apart OFF)
    foreach(except IN LISTS arg_EXCEPT)
      if(except IN_LIST folders)
        set(is_apart ON)
      endif()
    endforeach()
    if(is_apart)
      continue()
    endif()
    if(NOT DEFINED count_${module})
      set(count_${module} 0)
    endif()
    math(EXPR batch "${count_${module}} / ${size}")
    math(EXPR count_${module} "${count_${module}} + 1")
    set_property(SOURCE ${source} TARGET_DIRECTORY ${target} PROPERTY
      UNITY_GROUP ${target}_${module}_${batch})
  endforeach()
endfunction()
