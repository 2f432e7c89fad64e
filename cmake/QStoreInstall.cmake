# Install rules and the package that find_package(qstore) finds.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/qstore)

install(TARGETS qstore EXPORT qstoreTargets)
install(DIRECTORY include/qstore ${PROJECT_BINARY_DIR}/include/qstore
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(EXPORT qstoreTargets NAMESPACE qstore:: DESTINATION ${package_dir})

configure_package_config_file(cmake/qstoreConfig.cmake.in ${PROJECT_BINARY_DIR}/qstoreConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/qstoreConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/qstoreConfig.cmake
              ${PROJECT_BINARY_DIR}/qstoreConfigVersion.cmake
        DESTINATION ${package_dir})

if(TARGET qstore_cli)
  install(TARGETS qstore_cli)
endif()
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
