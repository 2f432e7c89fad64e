# Install rules, and what find_package(qstore) and pkg-config find.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/qstore)

install(TARGETS qstore qstore_c EXPORT qstoreTargets)
install(DIRECTORY include/qstore ${PROJECT_BINARY_DIR}/include/qstore
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(FILES include/qstore.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT qstoreTargets NAMESPACE qstore:: DESTINATION ${package_dir})

configure_package_config_file(cmake/qstoreConfig.cmake.in ${PROJECT_BINARY_DIR}/qstoreConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/qstoreConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/qstoreConfig.cmake
              ${PROJECT_BINARY_DIR}/qstoreConfigVersion.cmake
        DESTINATION ${package_dir})

# Relative to itself, so that the folder it is installed in may move.
file(RELATIVE_PATH qstore_pc_includedir
  ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_FULL_INCLUDEDIR})
set(qstore_pc_private "-lstdc++ -lm -pthread -ldl")
if(BUILD_SHARED_LIBS)
  set(qstore_pc_libs_private ${qstore_pc_private})
  set(qstore_pc_requires_private "libzstd, libcrypto")
else()
  set(qstore_pc_libs " ${qstore_pc_private}")
  set(qstore_pc_requires "libzstd, libcrypto")
  set(qstore_pc_cflags " -DQSTORE_STATIC_DEFINE")
endif()
configure_file(cmake/qstore.pc.in ${PROJECT_BINARY_DIR}/qstore.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/qstore.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

if(TARGET qstore_cli)
  install(TARGETS qstore_cli)
endif()
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
