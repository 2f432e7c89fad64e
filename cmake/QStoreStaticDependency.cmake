# Has an imported target of pkg-config link LIBRARY.a, so that nothing is needed at run time.
function(qstore_link_statically target library)
  find_library(qstore_static_${library} NAMES lib${library}.a REQUIRED)
  set_property(TARGET ${target} PROPERTY INTERFACE_LINK_LIBRARIES ${qstore_static_${library}})
endfunction()
