// A CUDA device for PyTorch's CPU build: its memory is the host's, its kernels are the CPU's.
//
// What is real about it: tensors carry the device, operations on tensors of two devices fail as they do on a GPU,
// generators belong to a device, autograd runs its threads for it, and every allocation is counted and limited.
// What is not: speed, streams, workspaces of cuDNN and cuBLAS, and the kernels' own rounding.
//
// Registered as CUDA itself, which a CPU build leaves empty, so that code under test needs no other name for it.

#include <torch/library.h>

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/resize_native.h>
#include <ATen/ops/set_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>

namespace {

const c10::Device CARD(c10::DeviceType::CUDA, 0);
const c10::DispatchKeySet CARD_KEYS(c10::DispatchKey::CUDA);

// ---- memory -------------------------------------------------------------------------------------------------------

std::atomic<int64_t> held{0}, most_held{0}, room{0};

// What CUDA's caching allocator rounds a block to.
int64_t rounded(size_t bytes) { return static_cast<int64_t>((bytes + 511) / 512 * 512); }

void take(size_t bytes) {
  const int64_t wanted = rounded(bytes);
  if (room && held + wanted > room) {
    C10_THROW_ERROR(OutOfMemoryError,
                    c10::str("CUDA out of memory. Tried to allocate ", wanted >> 20, " MiB (pretend card)."));
  }
  const int64_t now = held += wanted;
  int64_t most = most_held;
  while (now > most && !most_held.compare_exchange_weak(most, now)) {
  }
}

// A block of the card: its own, or the CPU tensor's that a kernel has made.
struct Block {
  size_t bytes;
  void* own;
  at::Tensor made;
};

void free_block(void* context) {
  auto* block = static_cast<Block*>(context);
  held -= rounded(block->bytes);
  std::free(block->own);
  delete block;
}

struct Allocator final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes == 0) return {nullptr, nullptr, &free_block, CARD};
    take(bytes);
    void* own = nullptr;
    TORCH_CHECK(posix_memalign(&own, 64, bytes) == 0, "the host has no memory left for the pretend card");
    std::memset(own, 0x7f, bytes);  // what nobody has written is not zero
    return {own, new Block{bytes, own, {}}, &free_block, CARD};
  }
  void copy_data(void* to, const void* from, size_t bytes) const override { default_copy_data(to, from, bytes); }
};

Allocator allocator;
const bool registered = [] {
  c10::SetAllocator(c10::DeviceType::CUDA, &allocator, /*priority=*/10);
  return true;
}();

// ---- the device and its random numbers ----------------------------------------------------------------------------

c10::Stream only_stream() { return c10::Stream(c10::Stream::DEFAULT, CARD); }

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return c10::DeviceType::CUDA; }
  c10::Device exchangeDevice(c10::Device) const override { return CARD; }
  c10::Device getDevice() const override { return CARD; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device) const noexcept override { return only_stream(); }
  c10::Stream getDefaultStream(c10::Device) const override { return only_stream(); }
  c10::Stream getNewStream(c10::Device, int) const override { return only_stream(); }
  c10::Stream getStreamFromGlobalPool(c10::Device, bool) const override { return only_stream(); }
  c10::Stream exchangeStream(c10::Stream stream) const noexcept override { return stream; }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  void record(void** event, const c10::Stream&, const c10::DeviceIndex, const c10::EventFlag) const override {
    *event = reinterpret_cast<void*>(1);
  }
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
  void synchronizeEvent(void*) const override {}
  void synchronizeDevice(const c10::DeviceIndex) const override {}
};

struct Random final : c10::GeneratorImpl {
  at::Generator on_cpu = at::detail::createCPUGenerator();

  Random() : GeneratorImpl(CARD, CARD_KEYS) {}
  void set_current_seed(uint64_t seed) override { on_cpu.set_current_seed(seed); }
  void set_offset(uint64_t) override {}
  uint64_t get_offset() const override { return 0; }
  uint64_t current_seed() const override { return on_cpu.current_seed(); }
  uint64_t seed() override { return on_cpu.seed(); }
  void set_state(const c10::TensorImpl& state) override { on_cpu.unsafeGetGeneratorImpl()->set_state(state); }
  c10::intrusive_ptr<c10::TensorImpl> get_state() const override { return on_cpu.unsafeGetGeneratorImpl()->get_state(); }
  c10::GeneratorImpl* clone_impl() const override {
    auto* made = new Random();
    made->on_cpu = on_cpu.clone();
    return made;
  }
};

const at::Generator& usual_random() {
  static const at::Generator made = at::make_generator<Random>();
  return made;
}

at::Generator on_cpu(const at::Generator& random) {
  return static_cast<Random*>(random.unsafeGetGeneratorImpl())->on_cpu;
}

// ---- operations: the CPU's kernels on the same bytes ---------------------------------------------------------------

at::Tensor cpu_view(const at::Tensor& card) {
  auto options = card.options().device(at::kCPU).requires_grad(false);
  return at::from_blob(card.data_ptr(), card.sizes(), card.strides(), [card](void*) {}, options);
}

at::Tensor empty_strided(c10::IntArrayRef sizes, c10::IntArrayRef strides, std::optional<at::ScalarType> dtype,
                         std::optional<at::Layout>, std::optional<c10::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(sizes, strides, &allocator, CARD_KEYS, c10::dtype_or_default(dtype));
}

at::Tensor empty(c10::IntArrayRef sizes, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                 std::optional<c10::Device>, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(sizes, &allocator, CARD_KEYS, c10::dtype_or_default(dtype), format);
}

// What a kernel has made becomes a block of the card without a copy.
at::Tensor on_card(const at::Tensor& made) {
  if (made.numel() == 0) return empty_strided(made.sizes(), made.strides(), made.scalar_type(), {}, {}, {});
  const size_t bytes = made.storage().nbytes();
  take(bytes);
  c10::DataPtr data(made.storage().mutable_data(), new Block{bytes, nullptr, made}, &free_block, CARD);
  c10::Storage storage(c10::make_intrusive<c10::StorageImpl>(
      c10::StorageImpl::use_byte_size_t(), bytes, std::move(data), &allocator, /*resizable=*/true));
  auto impl = c10::make_intrusive<c10::TensorImpl>(std::move(storage), CARD_KEYS, made.dtype());
  impl->set_storage_offset(made.storage_offset());
  impl->set_sizes_and_strides(made.sizes(), made.strides());
  return at::Tensor(impl);
}

// Operations that take indices or numbers from the CPU, on a GPU as well.
const std::set<std::string> MAY_MIX = {
    "aten::index.Tensor", "aten::index.Tensor_out", "aten::_unsafe_index.Tensor", "aten::index_put_",
    "aten::index_put",    "aten::_index_put_impl_", "aten::_fused_adamw_",        "aten::multinomial"};

struct Lent {
  at::Tensor card, cpu;
  bool written;
};

class Call {
 public:
  Call(const c10::OperatorHandle& op, torch::jit::Stack* stack) : op_(op), stack_(*stack) {}

  void run() {
    const auto& arguments = op_.schema().arguments();
    const size_t first = stack_.size() - arguments.size();
    check_devices(first);
    for (size_t i = 0; i < arguments.size(); i++) lend(stack_[first + i], arguments[i]);
    op_.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), &stack_);
    for (auto& one : lent_) {
      if (one.written && one.cpu.sizes() != one.card.sizes()) {
        one.card.resize_(one.cpu.sizes());
        cpu_view(one.card).copy_(one.cpu);
      }
    }
    for (size_t i = stack_.size() - op_.schema().returns().size(); i < stack_.size(); i++) give_back(stack_[i]);
  }

 private:
  void check_devices(size_t first) const {
    std::string stranger;
    bool card = false;
    auto look = [&](const at::Tensor& one) {
      if (!one.defined()) return;
      card = card || one.is_cuda();
      if (one.is_cpu() && one.dim() > 0) stranger = c10::str(one.sizes());
    };
    for (size_t i = first; i < stack_.size(); i++) {
      if (stack_[i].isTensor()) look(stack_[i].toTensor());
      if (stack_[i].isTensorList())
        for (const at::Tensor& one : stack_[i].toTensorVector()) look(one);
      if (stack_[i].isOptionalTensorList())
        for (const auto& one : stack_[i].toOptionalTensorVector())
          if (one) look(*one);
    }
    const auto name = toString(op_.operator_name());
    TORCH_CHECK(!card || stranger.empty() || MAY_MIX.count(name),
                "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! (",
                name, ", a CPU tensor of ", stranger, ")");
  }

  at::Tensor lend(const at::Tensor& card, bool written) {
    if (!card.defined() || !card.is_cuda()) return card;
    // an empty result is made larger by the kernel, which a borrowed block cannot be
    const bool grows = written && card.numel() == 0;
    lent_.push_back({card, grows ? at::empty(card.sizes(), card.options().device(at::kCPU)) : cpu_view(card), written});
    return lent_.back().cpu;
  }

  void lend(c10::IValue& value, const c10::Argument& argument) {
    const bool written = argument.alias_info() && argument.alias_info()->isWrite();
    if (value.isTensor()) {
      value = lend(value.toTensor(), written);
    } else if (value.isTensorList()) {
      std::vector<at::Tensor> all;
      for (const at::Tensor& one : value.toTensorVector()) all.push_back(lend(one, written));
      value = c10::List<at::Tensor>(all);
    } else if (value.isOptionalTensorList()) {
      c10::List<std::optional<at::Tensor>> all;
      for (const auto& one : value.toOptionalTensorVector())
        all.push_back(one ? std::make_optional(lend(*one, written)) : std::nullopt);
      value = all;
    } else if (value.isGenerator()) {
      const auto random = value.toGenerator();
      TORCH_CHECK(random.device().is_cuda(), "Expected a 'cuda' device type for generator but found 'cpu' (",
                  toString(op_.operator_name()), ")");
      value = on_cpu(random);
    } else if (value.isNone() && argument.name() == "generator") {
      value = on_cpu(usual_random());
    } else if (value.isDevice() && value.toDevice().is_cuda()) {
      value = c10::Device(at::kCPU);
    }
  }

  at::Tensor give_back(const at::Tensor& made) {
    if (!made.defined()) return made;
    for (auto& one : lent_)
      if (one.cpu.is_same(made)) return one.card;
    for (auto& one : lent_)
      if (made.numel() && made.storage().data() == one.cpu.storage().data()) return on_card(made.clone());
    return on_card(made);
  }

  void give_back(c10::IValue& value) {
    if (value.isTensor()) {
      value = give_back(value.toTensor());
    } else if (value.isTensorList()) {
      std::vector<at::Tensor> all;
      for (const at::Tensor& one : value.toTensorVector()) all.push_back(give_back(one));
      value = c10::List<at::Tensor>(all);
    }
  }

  const c10::OperatorHandle& op_;
  torch::jit::Stack& stack_;
  std::vector<Lent> lent_;
};

void on_the_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) { Call(op, stack).run(); }

at::Tensor& copy_(at::Tensor& to, const at::Tensor& from, bool) {
  at::AutoDispatchBelowAutograd below;
  (to.is_cuda() ? cpu_view(to) : to).copy_(from.is_cuda() ? cpu_view(from) : from);
  return to;
}

// A GPU attends with fused kernels, which keep no matrix of all pairs; so does the CPU's, where it takes the shapes.
at::Tensor attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                     const std::optional<at::Tensor>& mask, double dropout, bool causal, std::optional<double> scale,
                     bool grouped) {
  const bool fused = query.dim() == 4 && query.size(-1) == value.size(-1) && query.scalar_type() != at::kHalf &&
                     dropout == 0 && !grouped && !(mask && mask->requires_grad());
  if (!fused)
    return std::get<0>(
        at::_scaled_dot_product_attention_math(query, key, value, mask, dropout, causal, {}, scale, grouped));
  std::optional<at::Tensor> bias = mask;
  if (bias && bias->scalar_type() == at::kBool) {
    const auto kept = *bias;
    bias = at::zeros(kept.sizes(), query.options()).masked_fill_(kept.logical_not(), -INFINITY);
  }
  if (bias) {
    while (bias->dim() < 4) bias = bias->unsqueeze(0);
    bias = bias->to(query.scalar_type());
  }
  return std::get<0>(
      at::_scaled_dot_product_flash_attention_for_cpu(query, key, value, dropout, causal, bias, scale));
}

at::Tensor view(const at::Tensor& tensor, c10::IntArrayRef sizes) { return at::native::view(tensor, sizes); }
at::Tensor& set_storage(at::Tensor& tensor, at::Storage source) { return at::native::set_(tensor, source); }
void record_stream(at::Tensor&, at::Stream) {}

}  // namespace

namespace c10::impl {
C10_REGISTER_GUARD_IMPL(CUDA, Guard)
}

namespace at {

// PyTorch looks this class up by its name, once, when it starts.
struct CUDAHooks final : CUDAHooksInterface {
  explicit CUDAHooks(CUDAHooksArgs) {}
  void init() const override {}
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasCUDA() const override { return true; }
  bool hasPrimaryContext(DeviceIndex) const override { return true; }
  DeviceIndex deviceCount() const override { return 1; }
  int getNumGPUs() const override { return 1; }
  DeviceIndex current_device() const override { return 0; }
  DeviceIndex getCurrentDevice() const override { return 0; }
  void setCurrentDevice(DeviceIndex) const override {}
  DeviceIndex exchangeDevice(DeviceIndex) const override { return 0; }
  DeviceIndex maybeExchangeDevice(DeviceIndex) const override { return 0; }
  const Generator& getDefaultGenerator(DeviceIndex) const override { return usual_random(); }
  // the first one that Python asks for becomes `torch.cuda.default_generators`
  Generator getNewGenerator(DeviceIndex) const override {
    static std::atomic<bool> first{true};
    return first.exchange(false) ? usual_random() : make_generator<Random>();
  }
  c10::Allocator* getPinnedMemoryAllocator() const override { return c10::GetAllocator(c10::DeviceType::CPU); }
  c10::Allocator* getCUDADeviceAllocator() const override { return &::allocator; }
  void deviceSynchronize(DeviceIndex) const override {}
};
REGISTER_CUDA_HOOKS(CUDAHooks)

}  // namespace at

TORCH_LIBRARY_IMPL(_, CUDA, library) { library.fallback(torch::CppFunction::makeFromBoxedFunction<&on_the_cpu>()); }

TORCH_LIBRARY_IMPL(aten, CUDA, library) {
  library.impl("empty.memory_format", empty);
  library.impl("empty_strided", empty_strided);
  library.impl("copy_", copy_);
  library.impl("view", view);
  library.impl("view.dtype", at::native::view_dtype);
  library.impl("as_strided", at::native::as_strided_tensorimpl);
  library.impl("_reshape_alias", at::native::_reshape_alias);
  library.impl("unfold", at::native::unfold);
  library.impl("resize_", at::native::resize_);
  library.impl("set_.source_Storage_storage_offset", at::native::set_storage_cpu_);
  library.impl("set_.source_Storage", set_storage);
  library.impl("set_.source_Tensor", at::native::set_tensor_);
  library.impl("record_stream", record_stream);
  library.impl("scaled_dot_product_attention", attention);
}

TORCH_LIBRARY_IMPL(aten, AutogradCUDA, library) { library.impl("scaled_dot_product_attention", attention); }

extern "C" {
int64_t card_held() { return held; }
int64_t card_most_held() { return most_held; }
void card_forget_most() { most_held = held.load(); }
void card_limit(int64_t bytes) { room = bytes; }
}
