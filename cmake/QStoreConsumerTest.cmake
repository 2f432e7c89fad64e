# Installs this build to a scratch prefix, then configures, builds and runs tests/consumer there, and
# programs in C by CMake and by pkg-config.
set(prefix ${PROJECT_BINARY_DIR}/consumer/prefix)

add_test(NAME consumer.clean COMMAND ${CMAKE_COMMAND} -E rm -rf ${PROJECT_BINARY_DIR}/consumer)
add_test(NAME consumer.install
         COMMAND ${CMAKE_COMMAND} --install ${PROJECT_BINARY_DIR} --prefix ${prefix})
add_test(NAME consumer.build_and_run
         COMMAND ${CMAKE_CTEST_COMMAND}
           --build-and-test ${PROJECT_SOURCE_DIR}/tests/consumer ${PROJECT_BINARY_DIR}/consumer/build
           --build-generator ${CMAKE_GENERATOR}
           --build-options -DCMAKE_PREFIX_PATH=${prefix} -DCMAKE_BUILD_TYPE=${CMAKE_BUILD_TYPE}
             -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER} -DCMAKE_CXX_FLAGS=${CMAKE_CXX_FLAGS}
           --test-command consumer)
set(consumer_archive ${PROJECT_SOURCE_DIR}/tests/golden/valid/pair.qstore)
add_test(NAME consumer.c
         COMMAND ${CMAKE_CTEST_COMMAND}
           --build-and-test ${PROJECT_SOURCE_DIR}/tests/consumer/c ${PROJECT_BINARY_DIR}/consumer/c
           --build-generator ${CMAKE_GENERATOR}
           --build-options -DCMAKE_PREFIX_PATH=${prefix} -DCMAKE_BUILD_TYPE=${CMAKE_BUILD_TYPE}
             -DCMAKE_C_COMPILER=${CMAKE_C_COMPILER} -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}
             -DCMAKE_C_FLAGS=${CMAKE_CXX_FLAGS} -DCMAKE_CXX_FLAGS=${CMAKE_CXX_FLAGS}
           --test-command print_tensor ${consumer_archive} bf16)
add_test(NAME consumer.pkg_config
         COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tests/consumer/pkg_config_test.py
           ${prefix} ${consumer_archive} ${CMAKE_C_COMPILER} ${CMAKE_CXX_FLAGS})
set_tests_properties(consumer.clean PROPERTIES FIXTURES_SETUP consumer_clean)
set_tests_properties(consumer.install PROPERTIES
  FIXTURES_REQUIRED consumer_clean FIXTURES_SETUP consumer_prefix)
set_tests_properties(consumer.build_and_run PROPERTIES
  FIXTURES_REQUIRED consumer_prefix
  PASS_REGULAR_EXPRESSION "consumer: packed and loaded" FAIL_REGULAR_EXPRESSION "error:")
set_tests_properties(consumer.c consumer.pkg_config PROPERTIES
  FIXTURES_REQUIRED consumer_prefix PASS_REGULAR_EXPRESSION "bf16: 4 tensors")
