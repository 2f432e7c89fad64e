# Has an imported target of pkg-config link LIBRARY.a, so that nothing is needed at run time. With OPTIONAL a
# system that has no such file keeps the shared library.
function(qstore_link_statically target library)
  if("OPTIONAL" IN_LIST ARGN)
    find_library(qstore_static_${library} NAMES lib${library}.a)
    if(NOT qstore_static_${library})
      return()
    endif()
  else()
    find_library(qstore_static_${library} NAMES lib${library}.a REQUIRED)
  endif()
  set_property(TARGET ${target} PROPERTY INTERFACE_LINK_LIBRARIES ${qstore_static_${library}})
endfunction()
