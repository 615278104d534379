/* SPDX-License-Identifier: Apache-2.0
 * Bad and strange models, one per line: status, and a word that the message must hold. After every refusal nothing may be left
 * allocated, and exactly one error must have been told. Row names: W wire, T tensors, G graphs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "backends/onnx/export.h"
#include "frontends/onnx/import.h"
#include "tests/onnx_text.h"
#include "tests/oom.h"

#define W5(more) HEAD "7{ 2=g " IN_X OUT_Y RELU "5{ 8=w " more "} } " /* an initializer w */
#define NEST(open, close, n) "*" #n "( " open ") *" #n "( " close ") "
#define GRAPHS(n) "8{ 1=t 2:1 } " MODEL(RELU NEST("1{ 4=Z 7=t 5{ 1=b 20:5 6{ 2=s ", "} } } ", n))
#define TYPES(n) MODEL(RELU "13{ 1=q 2{ " NEST("4{ 1{ ", "} } ", n) "} } ")
#define FN(body) "25{ 1=F 10=f 4=a 5=b 9{ 1= 2:13 } 9{ 1=f 2:1 } " body "} "
#define CALL "8{ 1=f 2:1 } " MODEL("1{ 1=x 2=y 4=F 7=f } ")

typedef struct row {
  const char *id;
  qcc_status status;
  const char *told; /* in the message; NULL: not looked at */
  const char *text;
} row;

static const row rows[] = {
    {"W01a", QCC_INVALID, "no graph", ""},
    {"W01b", QCC_INVALID, NULL, "~00"},
    {"W01c", QCC_INVALID, NULL, "*100( ~00 )"},
    {"W01d", QCC_INVALID, "no graph", HEAD},
    {"W02a", QCC_INVALID, "PNG", "~89504e470d0a1a0a0000000d49484452"},
    {"W02b", QCC_INVALID, "zip", "~504b03041400000008000000"},
    {"W02c", QCC_INVALID, "GGUF", "~4747554603000000"},
    {"W02d", QCC_INVALID, "ELF", "~7f454c4602010100"},
    {"W02e", QCC_INVALID, "text", "~23206d6f64656c0a61626364650a"},
    {"W02f", QCC_INVALID, "pickle", "~80027d71002e"},
    {"W02g", QCC_INVALID, "ONNX Runtime", "~180000004f52544d0000"},
    {"W02h", QCC_INVALID, "safetensors", "~40000000000000007b22613a"},
    {"W04a", QCC_OK, NULL, GRAPHS(33)},
    {"W04b", QCC_LIMIT, "max-depth", GRAPHS(34)},
    {"W04c", QCC_LIMIT, "max-depth", GRAPHS(2000)},
    {"W05a", QCC_OK, NULL, TYPES(48)},
    {"W05b", QCC_LIMIT, "max-depth", TYPES(49)},
    {"W05c", QCC_LIMIT, "max-depth", TYPES(3000)},
    {"W05d", QCC_INVALID, "group", HEAD "~9b06 *100000( ~9b06 )"},
    {"W06a", QCC_LIMIT, "max-parsed-factor", MODEL("1{ 1=x 2=y 4=Relu *600000( 5{ } ) } ")},
    {"W06b", QCC_LIMIT, "max-parsed-factor", MODEL("*600000( 1{ } ) ")},
    {"W06c", QCC_LIMIT, "max-parsed-factor", MODEL("*600000( 5{ } ) ")},
    {"W06d", QCC_LIMIT, "max-parsed-factor", MODEL(RELU "*2000000( 90:1 ) ")},
    {"W07a", QCC_INVALID, NULL, "~08ffffffffffffffffffff01"},
    {"W07b", QCC_INVALID, "64 bits", "~08ffffffffffffffffff02"},
    {"W07c", QCC_INVALID, "field number", HEAD "~00"},
    {"W07d", QCC_INVALID, "field number", HEAD "~0201"},
    {"W07e", QCC_INVALID, "wire type", HEAD "~0b"},
    {"W07f", QCC_INVALID, "wire type", HEAD "~0c"},
    {"W07g", QCC_INVALID, "wire type", HEAD "~0e"},
    {"W07h", QCC_INVALID, "wire type", HEAD "~0f"},
    {"W07i", QCC_INVALID, "field number", HEAD "~ffffffff7f"},
    {"W07j", QCC_INVALID, NULL, HEAD "~08"},
    {"W08a", QCC_INVALID, "longer", HEAD "~3a7f00"},
    {"W08b", QCC_INVALID, NULL, HEAD "~3affffffff07"},
    {"W08c", QCC_INVALID, NULL, HEAD "~3a8080808010"},
    {"W08d", QCC_INVALID, NULL, HEAD "~3a80808080808080808001"},
    {"W08e", QCC_INVALID, "longer", HEAD "7{ ~0a7f0a017800 }"},
    {"W08f", QCC_INVALID, "longer", HEAD "7{ 1{ ~0a7f7800 } }"},
    {"W08g", QCC_INVALID, "longer", HEAD "7{ 5{ ~4a7f7800 } }"},
    {"W08h", QCC_INVALID, "longer", HEAD "7{ 5{ ~227f7800 } }"},
    {"W08j", QCC_INVALID, "outside", HEAD "7{ 1{ ~0a0578 } } *9( 99:1 )"},
    {"W08k", QCC_INVALID, "outside", HEAD "7{ 5{ ~4a0578 } } *9( 99:1 )"},
    {"W08l", QCC_INVALID, "outside", HEAD "7{ 5{ ~220578 } } *9( 99:1 )"},
    {"W08m", QCC_INVALID, "outside", HEAD "7{ ~0a05 } *9( 99:1 )"},
    {"W08i", QCC_INVALID, NULL, HEAD "7{ 1{ ~0affffffffffffffffff01 } }"},
    {"W09a", QCC_INVALID, "twice", MODEL(RELU) MODEL(RELU)},
    {"W09b", QCC_INVALID, "'graph' is given twice", MODEL(RELU) "7{ 2=h } "},
    {"W09c", QCC_INVALID, "'data_type' is given twice", W5("1:1 2:1 2:1 9#0000803f ")},
    {"W09d", QCC_INVALID, "excludes", MODEL(RELU "13{ 1=y 2{ 1{ 1:1 } 4{ } } } ")},
    {"W10a", QCC_INVALID, "zero byte", MODEL("1{ 1=x 2=y%00z 4=Relu } ")},
    {"W10b", QCC_INVALID, "UTF-8", MODEL("1{ 1=x 2=y 4=Relu 3=%ff } ")},
    {"W10c", QCC_INVALID, "UTF-8", MODEL("1{ 1=x 2=y 4=Relu 3=%ed%a0%80 } ")},
    {"W10d", QCC_INVALID, "UTF-8", MODEL("1{ 1=x 2=y 4=Relu 3=%c0%80 } ")},
    {"W10e", QCC_INVALID, "UTF-8", MODEL("1{ 1=x 2=y 4=Relu 3=%f4%90%80%80 } ")},
    {"W10f", QCC_INVALID, "UTF-8", MODEL("1{ 1=x 2=y 4=Relu 3=%e2%82 } ")},
    {"W10g", QCC_OK, NULL, MODEL("1{ 1=x 2=y 4=Relu 3=%e2%82%ac%f0%9f%98%80 } ")},
    {"W10h", QCC_OK, NULL, MODEL("1{ 1=x 2=y 4=Relu 3@65536 } ")},
    {"W10i", QCC_LIMIT, "max-name-bytes", MODEL("1{ 1=x 2=y 4=Relu 3@65537 } ")},
    {"W10j", QCC_OK, NULL, MODEL("1{ 1=x 2=y 4=Relu 6@100000 } ")},
    {"W11a", QCC_INVALID, "\\x1b", MODEL("1{ 1=no%1b[31m%0a%25n\" 2=y 4=Relu 3=bad } ")},
    {"W13a", QCC_INVALID, "ir_version 0", "1:0 8{ 2:13 } 7{ " IN_X OUT_Y RELU "}"},
    {"W13b", QCC_INVALID, "ir_version", "1:-1 8{ 2:13 } 7{ " IN_X OUT_Y RELU "}"},
    {"W13c", QCC_OK, NULL, "1:2 7{ " IN_X OUT_Y RELU "}"},
    {"W13d", QCC_UNSUPPORTED, "ir_version 99", "1:99 8{ 2:13 } 7{ " IN_X OUT_Y RELU "}"},
    {"W13e", QCC_OK, NULL, MODEL(RELU "99=hello ") "98:7 "},
    {"W15a", QCC_INVALID, "32 bits", W5("1:1 2:4294967297 9#0000803f ")},

    {"T01a", QCC_INVALID, "dim 0 is -1", W5("1:-1 2:1 ")},
    {"T01b", QCC_INVALID, "dim 1", W5("1:1 1:-9223372036854775808 2:1 ")},
    {"T01c", QCC_OK, NULL, W5("1:0 2:1 ")},
    {"T01d", QCC_OK, NULL, W5("2:1 9#0000803f ")},
    {"T02a", QCC_INVALID, "overflow", W5("1:4294967296 1:4294967296 2:1 9#0000803f ")},
    {"T02b", QCC_INVALID, "overflow", W5("1:4611686018427387904 1:4 2:1 9#0000803f ")},
    {"T02c", QCC_INVALID, "overflow", W5("1:4611686018427387906 2:7 9#0000803f0000803f ")},
    {"T03a", QCC_LIMIT, "max-tensor-bytes", W5("1:1000000000000 2:1 ")},
    {"T03b", QCC_INVALID, "need", W5("1:100000000000 2:1 ")},
    {"T03c", QCC_INVALID, "need", W5("1:100000000000 2:1 9#0000803f ")},
    {"T04a", QCC_INVALID, "raw_data has 7", W5("1:2 2:1 9#0000803f000080 ")},
    {"T04b", QCC_INVALID, "raw_data has 9", W5("1:2 2:1 9#0000803f0000803f00 ")},
    {"T04c", QCC_INVALID, NULL, W5("1:2 2:1 9# ")},
    {"T04d", QCC_INVALID, "raw_data has 64", W5("1:1 2:7 9@64 ")},
    {"T05a", QCC_INVALID, "more than one", W5("1:1 2:1 9#0000803f 4#0000803f ")},
    {"T05b", QCC_INVALID, "more than one", W5("1:1 2:1 4#0000803f 5:1 ")},
    {"T05c", QCC_INVALID, "float_data or raw_data", W5("1:1 2:1 5:1 ")},
    {"T05d", QCC_INVALID, NULL, W5("1:1 2:1 ")},
    {"T06a", QCC_INVALID, "data_type 0", W5("1:1 2:0 9#0000803f ")},
    {"T06b", QCC_UNSUPPORTED, "data_type 99", W5("1:1 2:99 9#0000803f ")},
    {"T06c", QCC_INVALID, "string", W5("1:1 2:8 9#0000803f ")},
    {"T06d", QCC_OK, NULL, W5("1:1 2:14 4#0000803f0000803f ")},
    {"T06e", QCC_OK, NULL, W5("1:2 2:8 6=ab 6=%00 ")},
    {"T06f", QCC_INVALID, "data_type -3", W5("1:1 2:-3 9#0000803f ")},
    {"T07a", QCC_INVALID, "300", W5("1:1 2:3 5:300 ")},
    {"T07b", QCC_INVALID, "70000", W5("1:1 2:10 5:70000 ")},
    {"T07c", QCC_INVALID, "-1", W5("1:1 2:2 5:-1 ")},
    {"T07d", QCC_INVALID, "int32_data has 3", W5("1:2 2:6 5:1 5:2 5:3 ")},
    {"T07e", QCC_INVALID, "uint64_data", W5("1:1 2:12 11:4294967296 ")},
    {"T07f", QCC_OK, NULL, W5("1:2 2:9 5#0001 ")},
    {"T07g", QCC_INVALID, "0..1", W5("1:1 2:9 5:2 ")},
    {"T08a", QCC_OK, NULL, W5("1:3 2:22 9#21f3 ")},
    {"T08b", QCC_INVALID, "raw_data has 1", W5("1:3 2:22 9#21 ")},
    {"T08c", QCC_INVALID, "raw_data has 3", W5("1:3 2:21 9#212121 ")},
    {"T08d", QCC_OK, NULL, W5("1:3 1:3 2:21 9#2121212102 ")},
    {"T08e", QCC_OK, NULL, W5("1:5 2:25 9#21ff ")},
    {"T08f", QCC_OK, NULL, W5("1:3 2:22 5:33 5:243 ")},
    {"T09a", QCC_LIMIT, "33", W5("*33( 1:1 ) 2:1 9#0000803f ")},
    {"T09b", QCC_LIMIT, "1000", W5("*1000( 1:1 ) 2:1 9#0000803f ")},
    {"T09c", QCC_UNSUPPORTED, "9 dims", W5("*9( 1:1 ) 2:1 9#0000803f ")},
    {"T11a", QCC_INVALID, "segment", W5("1:1 2:1 3{ 1:0 2:1 } 9#0000803f ")},
    {"T11b", QCC_INVALID, "data_location 7", W5("1:1 2:1 14:7 9#0000803f ")},
    {"T11c", QCC_INVALID, "both", W5("1:1 2:1 14:1 13{ 1=location 2=w } 9#0000803f ")},
    {"T11d", QCC_INVALID, "no folder", W5("1:1 2:1 14:1 13{ 1=location 2=w } ")},
    {"T10a", QCC_OK, NULL, MODEL(RELU "15{ 1{ 8=s 1:2 2:1 9#0000803f0000803f } 2{ 1:2 2:7 7:1 7:3 } 3:4 } ")},
    {"T10b", QCC_INVALID, "outside", MODEL(RELU "15{ 1{ 8=s 1:2 2:1 9#0000803f0000803f } 2{ 1:2 2:7 7:1 7:4 } 3:4 } ")},
    {"T10c", QCC_INVALID, "outside", MODEL(RELU "15{ 1{ 8=s 1:2 2:1 9#0000803f0000803f } 2{ 1:2 2:7 7:-1 7:3 } 3:4 } ")},
    {"T10d", QCC_INVALID, "sorted", MODEL(RELU "15{ 1{ 8=s 1:2 2:1 9#0000803f0000803f } 2{ 1:2 2:7 7:3 7:1 } 3:4 } ")},
    {"T10e", QCC_INVALID, "sorted", MODEL(RELU "15{ 1{ 8=s 1:2 2:1 9#0000803f0000803f } 2{ 1:2 2:7 7:3 7:3 } 3:4 } ")},
    {"T10f", QCC_INVALID, "shape", MODEL(RELU "15{ 1{ 8=s 1:2 2:1 9#0000803f0000803f } 2{ 1:1 2:7 7:3 } 3:4 } ")},
    {"T10g", QCC_LIMIT, NULL, MODEL(RELU "15{ 1{ 8=s 1:1 2:1 9#0000803f } 2{ 1:1 2:7 7:3 } 3:100000000000 } ")},
    {"T10h", QCC_OK, NULL, MODEL(RELU "15{ 1{ 8=s 1:1 2:1 9#0000803f } 2{ 1:1 1:2 2:7 7:1 7:1 } 3:2 3:2 } ")},
    {"T10i", QCC_INVALID, "without values", MODEL(RELU "15{ 1{ 8=s 1:1 2:1 9#0000803f } 3:2 } ")},

    {"G01a", QCC_INVALID, "no outputs", HEAD "7{ 2=g " IN_X RELU "} "},
    {"G01b", QCC_OK, NULL, HEAD "7{ 2=g " IN_X "12{ 1=x " F32_2 "} } "},
    {"G01c", QCC_OK, NULL, HEAD "7{ 2=g 5{ 8=y 1:2 2:1 9#0000803f0000803f } " OUT_Y "} "},
    {"G02a", QCC_INVALID, NULL, MODEL("1{ 1=y 2=y 4=Relu } ")},
    {"G02b", QCC_INVALID, NULL, MODEL("1{ 1=x 1=b 2=a 4=Add } 1{ 1=a 2=b 4=Relu } 1{ 1=b 2=y 4=Relu } ")},
    {"G02c", QCC_INVALID, NULL,
     "8{ 1=t 2:1 } " MODEL("1{ 1=x 2=a 4=Z 7=t 5{ 1=b 20:5 6{ 2=s 1{ 1=c 2=d 4=Relu } 12{ 1=d } } } } "
                           "1{ 1=a 2=c 4=Relu } 1{ 1=c 2=y 4=Relu } ")},
    {"G03", QCC_OK, NULL, MODEL("1{ 1=a 2=y 4=Relu } 1{ 1=x 2=a 4=Relu } ")},
    {"G04a", QCC_INVALID, "defined twice", MODEL(RELU RELU)},
    {"G04b", QCC_INVALID, "defined twice", MODEL(RELU "*2( 5{ 8=w 1:1 2:1 9#0000803f } ) ")},
    {"G04c", QCC_INVALID, "listed twice", MODEL(RELU OUT_Y)},
    {"G04d", QCC_OK, NULL, MODEL("1{ 1=x 1=w 2=y 4=Add } 5{ 8=w 1:2 2:1 9#0000803f0000803f } 11{ 1=w " F32_2 "} ")},
    {"G04e", QCC_INVALID, "defined twice", MODEL(RELU IN_X)},
    {"G04f", QCC_INVALID, "defined twice", MODEL("1{ 1=x 2=x 4=Relu } " RELU)},
    {"G05a", QCC_INVALID, "'q' is not defined", MODEL("1{ 1=q 2=y 4=Relu } ")},
    {"G05b", QCC_OK, NULL, MODEL("1{ 1=x 1= 1= 2=y 4=Clip } ")},
    {"G05c", QCC_INVALID, NULL, MODEL("1{ 1= 2=y 4=Relu } ")},
    {"G05d", QCC_INVALID, "'y' is not defined", MODEL("1{ 1=x 2=z 4=Relu } ")},
    {"G05e", QCC_OK, NULL, W5("1:1 2:1 9#0000803f ")},
    {"G05f", QCC_INVALID, "without a name", MODEL(RELU "5{ 1:1 2:1 9#0000803f } ")},
    {"G06a", QCC_INVALID, "no opset", "1:8 7{ " IN_X OUT_Y RELU "} "},
    {"G06b", QCC_INVALID, "twice", "8{ 2:12 } " MODEL(RELU)},
    {"G06c", QCC_INVALID, "opset 0", "1:8 8{ 2:0 } 7{ " IN_X OUT_Y RELU "} "},
    {"G06d", QCC_INVALID, "opset -1", "1:8 8{ 2:-1 } 7{ " IN_X OUT_Y RELU "} "},
    {"G06e", QCC_UNSUPPORTED, "opset 999", "1:8 8{ 2:999 } 7{ " IN_X OUT_Y RELU "} "},
    {"G06f", QCC_INVALID, "does not list", "1:8 8{ 1=foo 2:1 } 7{ " IN_X OUT_Y RELU "} "},
    {"G06g", QCC_INVALID, "twice", "8{ 1=ai.onnx 2:12 } " MODEL(RELU)},
    {"G07a", QCC_OK, NULL, "8{ 1=t 2:1 } " MODEL("1{ 1=x 2=y 4=What 7=t } ")},
    {"G07b", QCC_INVALID, "operator type", MODEL("1{ 1=x 2=y } ")},
    {"G08a", QCC_INVALID, "not defined",
     "8{ 1=t 2:1 } " MODEL("1{ 1=x 2=y 4=Z 7=t 5{ 1=b 20:5 6{ 2=s 1{ 1=q 2=d 4=Relu } 12{ 1=d } } } } ")},
    {"G08b", QCC_OK, NULL, "8{ 1=t 2:1 } " MODEL("1{ 1=x 2=y 4=Z 7=t 5{ 1=b 20:5 6{ 2=s 1{ 1=x 2=y 4=Relu } 12{ 1=y } } } } ")},
    {"G08c", QCC_INVALID, "without value", "8{ 1=t 2:1 } " MODEL("1{ 1=x 2=y 4=Z 7=t 5{ 1=b 20:5 } } ")},
    {"G09a", QCC_INVALID, "calls itself", CALL FN("7{ 1=a 2=b 4=F 7=f } ")},
    {"G09b", QCC_INVALID, "calls itself", CALL FN("7{ 1=a 2=b 4=G 7=f } ") "25{ 1=G 10=f 4=a 5=b 9{ 1=f 2:1 } 7{ 1=a 2=b 4=F 7=f } } "},
    {"G09c", QCC_INVALID, "calls itself", CALL FN("7{ 1=a 2=b 4=Relu 5{ 1=g 20:5 6{ 2=s 1{ 1=a 2=c 4=F 7=f } 12{ 1=c } } } } ")},
    {"G09d", QCC_LIMIT, "max-functions", MODEL(RELU) "*10001( 25{ } ) "},
    {"G09e", QCC_INVALID, "defined twice", CALL FN("7{ 1=a 2=b 4=Relu } ") FN("7{ 1=a 2=b 4=Relu } ")},
    {"G09f", QCC_INVALID, "inputs", "8{ 1=f 2:1 } " MODEL("1{ 1=x 1=x 2=y 4=F 7=f } ") FN("7{ 1=a 2=b 4=Relu } ")},
    {"G09g", QCC_INVALID, "not defined", CALL FN("7{ 1=x 2=b 4=Relu } ")},
    {"G09h", QCC_UNSUPPORTED, "opset", CALL "25{ 1=F 10=f 4=a 5=b 9{ 1= 2:12 } 7{ 1=a 2=b 4=Relu } } "},
    {"G10a", QCC_INVALID, "given twice", MODEL("1{ 1=x 2=y 4=Elu *2( 5{ 1=alpha 2f1 20:1 } ) } ")},
    {"G10b", QCC_INVALID, "type does not name", MODEL("1{ 1=x 2=y 4=Elu 5{ 1=alpha 2f1 20:2 } } ")},
    {"G10c", QCC_INVALID, "outside a function", MODEL("1{ 1=x 2=y 4=Elu 5{ 1=alpha 20:1 21=z } } ")},
    {"G10d", QCC_OK, NULL, MODEL("1{ 1=x 2=y 4=Elu 5{ 1=alpha 2f1 } } ")},
    {"G10e", QCC_INVALID, "no type", MODEL("1{ 1=x 2=y 4=Elu 5{ 1=alpha } } ")},
    {"G10f", QCC_OK, NULL, MODEL("1{ 1=x 2=y 4=Elu 5{ 1=alpha 2f1 20:1 } 5{ 1=more 20:7 *100000( 8:3 ) } } ")},
    {"G10g", QCC_LIMIT, "attributes", MODEL("1{ 1=x 2=y 4=Elu *4097( 5{ 1=a 3:1 20:2 } ) } ")},
    {"G10h", QCC_UNSUPPORTED, "unknown type", MODEL("1{ 1=x 2=y 4=Elu 5{ 1=alpha 20:44 5{ 1:1 2:1 9#0000803f } } } ")},
    {"G10i", QCC_INVALID, "without a name", MODEL("1{ 1=x 2=y 4=Elu 5{ 2f1 20:1 } } ")},
    {"G11a", QCC_OK, NULL, MODEL("1{ 1=x 2=a 3=n 4=Relu } 1{ 1=a 2=b 3=n 4=Relu } 1{ 1=b 2=n 4=Relu } 1{ 1=n 2=y 3=n_1 4=Relu } ")},
    {"G13a", QCC_INVALID, "given twice", MODEL(RELU) "*2( 14{ 1=k 2=v } ) "},
    {"G13b", QCC_UNSUPPORTED, "training", MODEL(RELU) "20{ } "},
    {"G15a", QCC_OK, NULL, MODEL(RELU "13{ 1=y 2{ 1{ 1:1 2{ 1{ 2=n } } } } } ")},
    {"G15b", QCC_INVALID, "excludes", MODEL(RELU "13{ 1=y 2{ 1{ 1:1 2{ 1{ 1:3 2=n } } } } } ")},
    {"G15c", QCC_INVALID, "element type -2", HEAD "7{ 2=g " IN_X "12{ 1=y 2{ 1{ 1:-2 } } } " RELU "} "},
};

typedef struct told {
  int errors, warnings;
  char last[2048];
} told;

static void note(void *user, qcc_severity severity, const char *line) {
  told *t = user;
  if (severity == QCC_ERROR) t->errors++;
  if (severity == QCC_WARNING) t->warnings++;
  if (severity == QCC_ERROR) qcc_format(t->last, sizeof t->last, "%s", line);
}

static qcc_context *new_context(told *t) {
  qcc_host host = {.log = note, .log_user = t};
  qcc_context *cx = NULL;
  memset(t, 0, sizeof *t);
  assert_int_equal(qcc_context_new(&cx, &host), QCC_OK);
  return cx;
}

/* Loads, and when that works writes and loads again. */
static qcc_status load_and_write(qcc_context *cx, const uint8_t *bytes, size_t n) {
  qcc_graph *g = NULL, *again = NULL;
  void *out = NULL;
  size_t size = 0;
  qcc_status st = qcc_onnx_load_memory(&g, cx, bytes, n, NULL, "bad.onnx", false);
  if (st == QCC_OK) st = qcc_onnx_save_memory(&out, &size, g);
  qcc_graph_free(g);
  if (st == QCC_OK) st = qcc_onnx_load_memory(&again, cx, out, size, NULL, "again.onnx", false);
  qcc_graph_free(again);
  qcc_free(cx, out);
  return st;
}

static bool check_row(const row *r) {
  told t;
  size_t n;
  qcc_context *cx = new_context(&t);
  uint8_t *bytes = text_model(cx, r->text, &n);
  qcc_status st = load_and_write(cx, bytes, n);
  bool good = st == r->status && t.errors == (st != QCC_OK) && (!r->told || strstr(t.last, r->told)) && !strchr(t.last, '\n');
  if (!good) print_error("%s: status %d, wanted %d, %d errors: %s\n", r->id, (int)st, (int)r->status, t.errors, t.last);
  free(bytes);
  qcc_context_free(cx);
  return good;
}

static void test_rows(void **state) {
  (void)state;
  int bad = 0;
  for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) bad += !check_row(&rows[k]);
  assert_int_equal(bad, 0);
}

static const char rich[] =
    "8{ 1=f 2:1 } 8{ 1=t 2:1 } 14{ 1=k 2=v } 2=me 6=doc 99=new " HEAD "7{ 2=g " IN_X OUT_Y "11{ 1=w " F32_2
    "} 13{ 1=h 2{ 1{ 1:1 2{ 1{ 2=n } } } } } 14{ 1=h 2{ 1=a 2=b } } "
    "5{ 8=w 1:2 2:1 9#0000803f0000803f 12=d } 5{ 8=s 1:2 2:8 6=ab 6=cd } 5{ 8=big 1:75 2:7 7:1 *74( 7:5 ) } "
    "15{ 1{ 8=sp 1:1 2:1 9#0000803f } 2{ 1:1 2:7 7:1 } 3:2 } "
    "1{ 1=h 2=y 4=Relu 3=last } 1{ 1=x 1=w 2=h 4=F 7=f 3=call 5{ 1=alpha 2f2 20:1 } } "
    "1{ 1=x 2=z 4=Z 7=t 3=if 5{ 1=b 20:5 6{ 2=s 1{ 1=x 2=d 4=Relu } 12{ 1=d } } } 5{ 1=l 20:8 9=q 9=r } 5{ 1=tp 20:13 14{ 1{ 1:1 } } } } } "
    "25{ 1=F 10=f 4=a 4=c 5=b 6=alpha 9{ 1= 2:13 } 7{ 1=a 1=c 2=m 4=Add 3=add } 7{ 1=m 2=b 4=Elu 5{ 1=alpha 20:1 21=alpha } } } ";

/* Every allocation of load and save fails in turn. */
typedef struct source {
  const uint8_t *bytes;
  size_t n;
} source;

static qcc_status run_source(qcc_context *cx, void *user) {
  const source *s = user;
  return load_and_write(cx, s->bytes, s->n);
}

static void test_no_memory(void **state) {
  (void)state;
  source s;
  told t;
  qcc_context *cx = new_context(&t);
  uint8_t *bytes = text_model(cx, rich, &s.n);
  qcc_context_free(cx);
  s.bytes = bytes;
  assert_true(oom_sweep(run_source, &s, 1, 0) > 50);
  free(bytes);
}

/* All cuts of a model, and all of its bytes flipped in two ways. */
static void test_cuts_and_flips(void **state) {
  (void)state;
  size_t n;
  told t;
  qcc_context *cx = new_context(&t);
  uint8_t *bytes = text_model(cx, rich, &n);
  for (size_t k = 0; k < 3 * n; k++) {
    size_t at = k % n;
    uint8_t *copy = malloc(n);
    memcpy(copy, bytes, n);
    if (k >= n) copy[at] ^= k >= 2 * n ? 0x80 : 0x01;
    qcc_status st = load_and_write(cx, copy, k < n ? at : n);
    if (st != QCC_OK && st != QCC_INVALID && st != QCC_UNSUPPORTED && st != QCC_LIMIT) fail_msg("variant %zu: status %d", k, (int)st);
    free(copy);
  }
  free(bytes);
  qcc_context_free(cx);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_no_memory), cmocka_unit_test(test_cuts_and_flips)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
