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
