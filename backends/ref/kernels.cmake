# SPDX-License-Identifier: Apache-2.0
# Kernels of the built-in runtime, by family. All but convolution, matrix products, pools and quantization of tensors.
set(QCC_REF_KERNELS
    k_util.c k_stride.c k_element.c
    k_elem.c k_compare.c k_clip.c k_unary.c k_cast.c
    k_norm.c k_softmax.c k_reduce.c k_order.c
    k_shape.c k_move.c k_pad.c k_gather.c k_select.c k_nms.c k_resize.c k_resize_axis.c k_grid.c k_einsum.c
    k_rnn.c k_rnn_cell.c k_deconv.c k_integer.c k_qconv.c k_qlinear.c k_fused.c k_attention.c k_control.c
    k_sdp_attention.c k_recurrent_attention.c k_signal.c k_vision.c k_deform.c k_loss.c k_random.c k_unique.c
    k_strings.c k_sequence.c k_regex.c k_ml.c k_gradient.c k_image.c)
# Plain loops over elements become vector code.
set_source_files_properties(${QCC_REF_KERNELS} PROPERTIES COMPILE_OPTIONS "$<$<NOT:$<CONFIG:Debug>>:-O3>")
